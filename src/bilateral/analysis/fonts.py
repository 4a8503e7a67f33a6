"""Fonts for text of any script: DejaVu Sans first, then whatever on this machine has the characters that it lacks."""

import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from matplotlib import font_manager, ft2font

FIRST = "DejaVu Sans"
READERS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "Source Han Sans"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "IPAexGothic", "IPAGothic", "Hiragino Sans", "PingFang SC"),
    *("Apple SD Gothic Neo", "Yu Gothic", "Meiryo", "Microsoft YaHei", "SimHei", "Malgun Gothic", "Arial Unicode MS"),
    *("Noto Sans Arabic", "Noto Emoji", "Symbola", "Segoe UI Emoji", "Apple Color Emoji"),
)
"""Families that other machines have: a figure as SVG holds text, which its reader's machine draws."""
_PACKAGE, _FILE = "noto_cjk_sans_otc", "NotoSansCJK-Regular.ttc"
"""Where a font for Chinese, Japanese and Korean comes from, on a machine that has none."""


def families(text: str) -> tuple[list[str], set[str]]:
    """The families that `text` is drawn with, in order, and those of its characters that none of them has."""
    missing = _drawn(text) - _characters(str(font_manager.findfont(FIRST)))
    if not missing:
        return [FIRST], set()
    found = []
    for family, path in _candidates():
        if covered := missing & _characters(path):
            found.append(family)
            missing = missing - covered
        if not missing:
            break
    return list(dict.fromkeys([FIRST, *found, *READERS])), missing


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


def _candidates() -> Iterator[tuple[str, str]]:
    """Upright fonts by family and file: those with the known names first, then the package's, then all others."""
    fonts = {
        font.name: font.fname
        for font in font_manager.fontManager.ttflist
        if font.style == "normal" and font.weight in (400, "normal", "regular", "book") and font.name != FIRST
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
