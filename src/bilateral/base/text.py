"""Text from outside (class names, notes, file names) made safe to show, in any encoding."""

import codecs
import unicodedata
from collections.abc import Mapping
from typing import Any

REPLACEMENTS = "bilateral.replacements"
"""The name of the error handler that `register_replacements` makes known."""
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LINE_ENDS = frozenset("\u2028\u2029")
_SIMPLE = {"–": "-", "—": "-", "−": "-", "±": "+/-", "…": "...", "×": "x", "′": "'", "’": "'", "“": '"', "”": '"'}


def shown(text: str, lines: bool = False) -> str:
    r"""Give text with its control characters as escapes, so that it cannot steer a terminal or break a file.

    Characters that turn the direction of writing, and halves of surrogate pairs, count as such too. lines: leave line
    ends as they are, in text of several lines.

    >>> shown("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    if text.isprintable():
        return text
    return "".join(_escaped(c) if _is_control(c) and not (lines and c == "\n") else c for c in text)


def shown_all(values: Any) -> Any:
    """Give plain values with every text in them as `shown` gives it; what are tuples become lists."""
    if isinstance(values, Mapping):
        return {key: shown_all(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [shown_all(value) for value in values]
    return shown(values) if isinstance(values, str) else values


def duration(seconds: float) -> str:
    """Give a length of time as people say it.

    >>> duration(600)
    '10 min'
    """
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def register_replacements() -> None:
    """Make known the error handler for output whose encoding lacks a character: a simpler one, or its escape."""
    codecs.register_error(REPLACEMENTS, _replace)


def _is_control(character: str) -> bool:
    if character.isprintable():
        return False
    odd = unicodedata.category(character) in ("Cc", "Cs")
    return odd or character in _DIRECTIONS or character in _LINE_ENDS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wanting = error.object[error.start : error.end]
    return "".join(_SIMPLE.get(each, _escaped(each)) for each in wanting), error.end
