"""Images and maps as text, for tables and pages."""

import base64
import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def png(image: Tensor) -> str:
    """An image, uint8 (3, H, W), as a PNG in base64."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).cpu().numpy()).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def packed(values: Tensor) -> dict[str, Any]:
    """A map (h, w), 0 to 1, as `height`, `width` and `values`, base64 of uint8."""
    levels = (255 * values.clamp(0, 1)).round().to(torch.uint8).cpu().numpy()
    return {"height": values.shape[0], "width": values.shape[1], "values": base64.b64encode(levels.tobytes()).decode()}


def unpacked(found: dict[str, Any]) -> Tensor:
    """The map (h, w), 0 to 1, of what `packed` gave."""
    values = np.frombuffer(base64.b64decode(found["values"]), np.uint8).reshape(found["height"], found["width"])
    return torch.from_numpy(values.copy()) / 255
