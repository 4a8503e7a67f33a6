import base64
import io
import json

import numpy as np
import torch
from PIL import Image

from bilateral.analysis.gradcam import encoded, packed, unpacked


def test_a_picture_decodes_to_the_same_pixels():
    image = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded(image)))))
    assert decoded.shape == (5, 7, 3) and (decoded == image.permute(1, 2, 0).numpy()).all()


def test_maps_survive_packing_to_a_255th():
    values = torch.rand(3, 5)
    found = json.loads(json.dumps(packed(values)))
    assert (found["height"], found["width"]) == (3, 5) and len(base64.b64decode(found["values"])) == 15
    assert (unpacked(found) - values).abs().max() <= 0.5 / 255 + 1e-6
    assert unpacked(packed(torch.tensor([[0.0, 1.0, -3.0, 7.0]]))).tolist() == [[0, 1, 0, 1]]
