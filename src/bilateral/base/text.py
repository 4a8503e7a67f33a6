"""Text from outside (class names, notes, file names) made safe to show, in any encoding."""

import codecs
import re
from collections.abc import Mapping
from typing import Any

REPLACEMENTS = "bilateral.replacements"
"""The name of the error handler that `register_replacements` makes known."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line ends, what turns the direction of writing, and halves of surrogate pairs."""
_SIMPLE = {"–": "-", "—": "-", "−": "-", "±": "+/-", "…": "...", "×": "x", "′": "'", "’": "'", "“": '"', "”": '"'}


def shown(text: str, lines: bool = False) -> str:
    r"""Give text with its control characters as escapes, so that it cannot steer a terminal or break a file.

    Characters that turn the direction of writing, and halves of surrogate pairs, count as such too. lines: leave line
    ends as they are, in text of several lines.

    >>> shown("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _CONTROLS.sub(lambda found: "\n" if lines and found[0] == "\n" else _escaped(found[0]), text)


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


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wanting = error.object[error.start : error.end]
    return "".join(_SIMPLE.get(each, _escaped(each)) for each in wanting), error.end
