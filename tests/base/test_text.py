import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bilateral.base.text import REPLACEMENTS, register_replacements, shown


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb\t\x00\x9b", r"a\nb\t\x00\x9b"),
        ("a\u202eb\u2028", r"a\u202eb\u2028"),
        ("\udcff", r"\udcff"),
        ("条纹星 ★ é 👩‍🔬", "条纹星 ★ é 👩‍🔬"),
    ],
)
def test_control_characters_become_escapes(text, safe):
    assert shown(text) == safe


def test_line_ends_may_stay():
    assert shown("a\nb\rc", lines=True) == "a\nb\\rc"


@given(st.text())
def test_nothing_shown_steers_a_terminal(text):
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in shown(text))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp932", "koi8-r", "utf-8"])
def test_every_encoding_takes_every_text(encoding):
    register_replacements()
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=REPLACEMENTS)
    stream.write("63.08 ± 0.44 – 条 \udcff")
    stream.flush()
    text = stream.buffer.getvalue().decode(encoding)
    assert text.startswith("63.08 ") and r"\udcff" in text
    if encoding == "ascii":
        assert text.startswith("63.08 +/- 0.44 - \\u6761")
