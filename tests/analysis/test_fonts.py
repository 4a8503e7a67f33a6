import warnings
from importlib.util import find_spec

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bilateral.analysis import style
from bilateral.analysis.style import families, panels, styled


def test_what_dejavu_has_looks_as_ever():
    for text in ("", "plain 1.0 %", "né ü ß ○ Ω ±", "عربي", "line\u2028end, joined\u200d"):
        assert families(text) == (["sans-serif"], set())


def pixels(text):
    with styled(text):
        figure, axes = panels()
        axes.text(0, 0, text, fontsize=60)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return bytes(canvas.buffer_rgba())


@pytest.mark.skipif(find_spec("noto_cjk_sans_otc") is None, reason="the font is not installed")
def test_chinese_japanese_and_korean_have_their_glyphs():
    names = ["鸟", "車", "猫", "ネ", "국"]
    found, missing = families("".join(names))
    assert found[0] == "DejaVu Sans" and found[-1] == "sans-serif" and missing == set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Boxes for want of a glyph would be alike within a script.
        assert len({pixels(name) for name in names}) == len(names)
    with styled("鸟"):
        assert "Noto Sans CJK SC" in style.families("鸟")[0]  # for the reader of an SVG


def test_what_no_font_has_is_told_once_with_a_remedy(monkeypatch):
    monkeypatch.setattr(style, "_candidates", lambda: iter(()))
    monkeypatch.setattr(style, "_told", set())
    with pytest.warns(UserWarning, match=r"no font on this machine has 国 猫, .*pip install noto-cjk-sans-otc") as told:
        first, second = pixels("猫国"), pixels("国猫")
    assert len(told) == 1 and first and second
