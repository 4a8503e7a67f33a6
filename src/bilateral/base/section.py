"""The base of every config section: strict about keys and kinds of values, frozen once read."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def user_path(path: Path) -> Path:
    """Give a path as people mean it: `~` is their home, `$NAME` a variable of the environment.

    Raises ValueError for a home or a variable that there is not, for a name that no file can have, and for one that
    cannot be recorded in a text file.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise ValueError(f"the environment has no variable {name}")
        return os.environ[name]

    text = _VARIABLE.sub(value, str(path))
    if "\0" in text:
        raise ValueError("a path cannot hold the character NUL")
    try:
        path = Path(text).expanduser()
        str(path).encode("utf-8")
    except RuntimeError:
        raise ValueError(f"there is no home {Path(text).parts[0]}") from None
    except UnicodeEncodeError:
        raise ValueError("its name is no UTF-8 text, so it cannot be recorded; choose another") from None
    return path


def _path(given: Any, otherwise: ValidatorFunctionWrapHandler) -> Any:
    return user_path(Path(given)) if isinstance(given, str | Path) else otherwise(given)


def _text(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # 7 is "7", while 1.10 would become "1.1"
    if isinstance(value, float):
        raise ValueError("is text, but reads as a number; put it in quotes")
    return value


UserPath = Annotated[Path, WrapValidator(_path)]
"""A path as people write it (see `user_path`)."""
Text = Annotated[str, BeforeValidator(_text)]
"""Text, for which a whole number may stand without quotes."""
Whole = Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)]
"""A whole number that computers count with: 10, and neither 10.0 nor "10" nor true nor 10**20."""
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
"""A seed of random numbers."""


class Section(BaseModel):
    """A group of settings. Unknown keys are errors, no number is infinite, and a checked section never changes.

    Values must be of their key's type: 10.0 is no whole number, 1 is not true, and "0.1" is text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # of sections with lists and dicts too
