"""How running out of memory, on whatever processor, becomes a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..base.errors import OutOfMemoryError
from ..base.memory import available_bytes, is_out_of_memory

_REMEDY = "a smaller training.batch_size, narrower hemispheres (model.left.width) or fewer workers need less"


@contextmanager
def memory_errors(doing: str) -> Iterator[None]:
    """Turn the refusal of memory in a block into an OutOfMemoryError. doing: what the block does, a clause."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemoryError(f"not enough memory for {doing}; {_REMEDY}") from error
        raise


def free_bytes(device: torch.device) -> float:
    """Give the bytes that this process may still take on a device; infinity where the system does not say."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_bytes()
    return float("inf") if free is None else free
