"""Fonts for text of any script: DejaVu Sans first, then whatever on this machine has the characters that it lacks."""

import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from matplotlib import font_manager, ft2font, get_data_path

FIRST = "DejaVu Sans"
READERS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Source Han Sans", "WenQuanYi Micro Hei"),
    *("IPAexGothic", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei"),
    *("Malgun Gothic", "Arial Unicode MS", "Noto Emoji", "Segoe UI Emoji"),
)
"""Families that other machines have: a figure as SVG holds text, which its reader's machine draws."""
_PACKAGE, _FILE = "noto_cjk_sans_otc", "NotoSansCJK-Regular.ttc"
"""Where a font for Chinese, Japanese and Korean comes from, on a machine that has none."""


def families(text: str) -> tuple[list[str], set[str]]:
    """The families that `text` is drawn with, in order, and those of its characters that none of them has.

    Text that DejaVu Sans has is drawn with it, which is what `sans-serif` means in our figures.
    """
    missing = _drawn(text) - _characters(str(font_manager.findfont(FIRST)))
    if not missing:
        return ["sans-serif"], set()
    found = []
    for family, path in _candidates():
        if covered := missing & _characters(path):
            found.append(family)
            missing = missing - covered
        if not missing:
            break
    return list(dict.fromkeys([FIRST, *found, *READERS, "sans-serif"])), missing


def _drawn(text: str) -> set[str]:
    """The characters that need a glyph, which joiners and choices of a variant do not."""
    strange = {character for character in set(text) if not character.isascii()}
    return {c for c in strange if unicodedata.category(c) not in ("Cf", "Mn", "Zl", "Zp", "Zs")}


@cache
def _characters(path: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, ft2font.FT2Font(path).get_charmap()))
    except (OSError, RuntimeError):  # a font that cannot be read here, such as one of pictures
        return frozenset()


def _is_matplotlibs(font: font_manager.FontEntry) -> bool:
    """Whether a font comes with matplotlib: beside DejaVu these are for mathematics, and one that has boxes for all."""
    return Path(font.fname).is_relative_to(get_data_path())


def _candidates() -> Iterator[tuple[str, str]]:
    """Upright fonts by family and file: those with the known names first, then the package's, then all others."""
    fonts = {
        font.name: font.fname
        for font in font_manager.fontManager.ttflist
        if font.style == "normal" and font.weight in (400, "normal", "regular", "book") and not _is_matplotlibs(font)
    }
    yield from ((name, fonts[name]) for name in READERS if name in fonts)
    package = find_spec(_PACKAGE)
    file = Path(package.origin).parent / _FILE if package and package.origin else None
    if file is not None and file.is_file():
        name = ft2font.FT2Font(str(file)).family_name
        if name not in fonts:
            font_manager.fontManager.addfont(file)
        yield name, str(file)
    yield from ((name, path) for name, path in fonts.items() if name not in READERS)
