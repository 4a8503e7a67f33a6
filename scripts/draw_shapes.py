"""Draw the README's picture of the embedded data set: a row for each form, a column for each detail.

Run from the root of the repository: python scripts/draw_shapes.py [docs/pictures/shapes.png]
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bilateral.data.config import DataConfig, ShapesConfig
from bilateral.data.shapes import DETAILS, FORMS, SIZE, load

SAMPLES = 2
ZOOM = 3
TILE = SIZE * ZOOM
GAP, GROUP_GAP = 4, 16
MARGIN_LEFT, MARGIN_TOP, MARGIN = 104, 40, 12
INK, PAPER = (40, 44, 52), (255, 255, 255)
FONT = ImageFont.load_default(size=18)
PITCH = SAMPLES * (TILE + GAP) - GAP + GROUP_GAP


def draw() -> Image.Image:
    """Lay out the first test images of every class, enlarged without smoothing, under the names of their labels."""
    images = load(DataConfig(shapes=ShapesConfig(train_per_class=2, test_per_class=SAMPLES))).test.images
    tiles = images.permute(0, 2, 3, 1).numpy().reshape(len(FORMS), len(DETAILS), SAMPLES, SIZE, SIZE, 3)
    width = MARGIN_LEFT + len(DETAILS) * PITCH - GROUP_GAP + MARGIN
    height = MARGIN_TOP + len(FORMS) * (TILE + GAP) - GAP + MARGIN
    picture = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(picture)
    for column, detail in enumerate(DETAILS):
        middle = MARGIN_LEFT + column * PITCH + (PITCH - GROUP_GAP) // 2
        pen.text((middle, MARGIN_TOP // 2), detail, INK, FONT, anchor="mm")
    for row, form in enumerate(FORMS):
        top = MARGIN_TOP + row * (TILE + GAP)
        pen.text((MARGIN_LEFT - MARGIN, top + TILE // 2), form, INK, FONT, anchor="rm")
        for column, sample in np.ndindex(len(DETAILS), SAMPLES):
            left = MARGIN_LEFT + column * PITCH + sample * (TILE + GAP)
            picture.paste(
                Image.fromarray(tiles[row, column, sample]).resize((TILE, TILE), Image.Resampling.NEAREST), (left, top)
            )
    return picture


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures/shapes.png")
    draw().quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
