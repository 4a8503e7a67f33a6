"""Draw the documentation's picture of the compound figures: a row for each large form, a column for each small one.

Run from the root of the repository: python scripts/draw_navon.py [docs/pictures/navon.png]
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bilateral.data import sources
from bilateral.data.config import DataConfig
from bilateral.data.navon import IDENTITIES

TILE, GAP, MARGIN, LEFT, TOP = 96, 4, 12, 128, 40
INK, PAPER = (40, 44, 52), (255, 255, 255)
FONT = ImageFont.load_default(size=18)
PANELS = {"salience: 0": 0.0, "salience: 0.3": 0.3}


def draw() -> Image.Image:
    """Lay out the first test image of every pair, enlarged without smoothing, without and with a filled large form."""
    count, pitch = len(IDENTITIES), TILE + GAP
    panel = count * pitch - GAP + 2 * MARGIN
    picture = Image.new("RGB", (LEFT + len(PANELS) * panel - MARGIN, TOP + count * pitch + MARGIN), PAPER)
    pen = ImageDraw.Draw(picture)
    for row, name in enumerate(IDENTITIES):
        pen.text((LEFT - MARGIN, TOP + row * pitch + TILE // 2), f"large {name}", INK, FONT, anchor="rm")
    for number, (title, salience) in enumerate(PANELS.items()):
        start = LEFT + number * panel
        pen.text((start + panel // 2 - MARGIN, TOP // 2), title, INK, FONT, anchor="mm")
        options = {"train_per_class": 2, "test_per_class": 1, "noise": 0.04, "salience": salience}
        images = sources.load(DataConfig(name="navon", options=options)).test.images.permute(0, 2, 3, 1).numpy()
        for row, column in np.ndindex(count, count):
            tile = Image.fromarray(images[row * count + column]).resize((TILE, TILE), Image.Resampling.NEAREST)
            picture.paste(tile, (start + column * pitch, TOP + row * pitch))
    return picture


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures/navon.png")
    draw().quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
