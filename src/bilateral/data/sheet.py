"""A sheet of examples: the first images of every class under its name, grouped by coarse label, as one PNG."""

from collections.abc import Sequence
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..base.files import whole_file
from ..base.text import shown
from .images import HierarchicalDataset

EXAMPLES, COLUMNS = 4, 3
"""Images of a class, and classes side by side."""
MOST_CLASSES = 300
_TILE, _GAP, _MARGIN, _LINE, _HEADING = 64, 4, 16, 20, 34
_CELL = EXAMPLES * (_TILE + _GAP) + _MARGIN
_INK, _PAPER = (40, 44, 52), (255, 255, 255)


def write_sheet(dataset: HierarchicalDataset, path: Path) -> None:
    """Write the sheet of a data set's training images; of many classes the first MOST_CLASSES are on it.

    Raises OutputError where it cannot be written.
    """
    picture = draw_sheet(dataset)
    with whole_file(path) as temporary:
        picture.save(temporary, "PNG", optimize=True)


def draw_sheet(dataset: HierarchicalDataset) -> Image.Image:
    """Draw the sheet, (COLUMNS * _CELL + _MARGIN) pixels wide. Small images are enlarged without smoothing."""
    hierarchy, cell = dataset.hierarchy, _LINE + _TILE + _GAP
    groups: dict[int, list[int]] = {}
    for fine, coarse in sorted(enumerate(hierarchy.coarse_of_fine), key=itemgetter(1))[:MOST_CLASSES]:
        groups.setdefault(coarse, []).append(fine)
    height = sum(_HEADING + -(-len(members) // COLUMNS) * cell for members in groups.values())
    picture = Image.new("RGB", (COLUMNS * _CELL + _MARGIN, height + _MARGIN), _PAPER)
    pen, top = ImageDraw.Draw(picture), 0
    large, small = (_font([*hierarchy.fine_names, *hierarchy.coarse_names], size) for size in (17, 13))
    for coarse, members in groups.items():
        pen.text(
            (_MARGIN, top + _HEADING - 6), _fitting(hierarchy.coarse_names[coarse], large, COLUMNS), _INK, large, "ls"
        )
        top += _HEADING
        for place, fine in enumerate(members):
            row, column = divmod(place, COLUMNS)
            left, above = _MARGIN + column * _CELL, top + row * cell
            pen.text((left, above + _LINE - 5), _fitting(hierarchy.fine_names[fine], small, 1), _INK, small, "ls")
            chosen = (dataset.train.fine == fine).nonzero().squeeze(1)[:EXAMPLES]
            for number, pixels in enumerate(dataset.train.images[chosen].permute(0, 2, 3, 1).numpy()):
                picture.paste(_tile(pixels), (left + number * (_TILE + _GAP), above + _LINE))
        top += -(-len(members) // COLUMNS) * cell
    return picture


def _tile(pixels: np.ndarray) -> Image.Image:
    """The image in the middle of a square tile."""
    image, tile = Image.fromarray(pixels), Image.new("RGB", (_TILE, _TILE), _PAPER)
    scale = _TILE / max(image.size)
    size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
    image = image.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS)
    tile.paste(image, ((_TILE - image.width) // 2, (_TILE - image.height) // 2))
    return tile


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _font(names: Sequence[str], size: int) -> _Font:
    """Pillow's own font, or one for Chinese, Japanese and Korean where names need it and it is installed."""
    package = None if all(map(str.isascii, names)) else find_spec("noto_cjk_sans_otc")
    if package is None or package.origin is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(Path(package.origin).parent / "NotoSansCJK-Regular.ttc", size)


def _fitting(name: str, font: _Font, cells: int) -> str:
    """As much of a name as stands in so many cells."""
    text = name = shown(name)
    while font.getlength(text) > cells * _CELL - _MARGIN:
        name = name[:-1]
        text = f"{name}..."
    return text
