import pytest
import torch

from bilateral.base.errors import OutOfMemoryError
from bilateral.base.memory import available_bytes, check_memory, memory_errors


def test_more_than_there_is_is_refused_before_it_is_taken():
    check_memory(1e6, "a million", "take less")
    with pytest.raises(
        OutOfMemoryError, match=r"all of it needs 1,000,000.0 GB of memory, and .* GB are free; take less"
    ):
        check_memory(1e15, "all of it", "take less")


def test_the_system_says_what_is_free():
    free = available_bytes()
    assert free is None or 0 < free < 1e14


def test_too_little_memory_is_a_sentence():
    with pytest.raises(OutOfMemoryError, match="not enough memory for a; a smaller"), memory_errors("a"):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(OutOfMemoryError), memory_errors("a"):
        bytearray(2**62)
    with pytest.raises(RuntimeError, match="size"), memory_errors("a"):
        torch.ones(2) @ torch.ones(3)
