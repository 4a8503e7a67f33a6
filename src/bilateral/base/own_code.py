"""The user's own code, named as `package.module:Object`: where names become objects, and who may be named by whom.

A name is followed where the user gave it: on the command line, in a call, or in a config that they train by. A name
that comes with a file (a checkpoint, a finished run's config) is followed only if the user gives it too.
"""

import importlib
import re
import sys
import traceback
from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from .errors import BilateralError, ConfigError

Made = TypeVar("Made")
_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


LIBRARIES = ("timm",)
"""Libraries whose models a registry may have, named as `timm:NAME`."""


def is_own(name: str) -> bool:
    """Whether a name is one of own code, and not of what comes with the package or a library that it knows."""
    return ":" in name and name.partition(":")[0] not in LIBRARIES


def load_object(name: str, key: str) -> Any:
    """Import what `package.module:Object` names; the working folder is searched too. key: the setting, for errors.

    Raises ConfigError for a name of another form, and where it cannot be imported.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{key}: {name!r} must have the form package.module:Object")
    module, _, path = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = importlib.import_module(module)
        for attribute in path.split("."):
            near = [] if hasattr(found, attribute) else get_close_matches(attribute, dir(found), n=1)
            if near:
                break
            found = getattr(found, attribute)
    except ModuleNotFoundError as error:
        searched = f"; it was looked for in {here} and where Python looks" if error.name == module else ""
        raise ConfigError(f"{key}: cannot import {name!r}: {describe(error)}{searched}") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{key}: cannot import {name!r}: {describe(error)}") from error
    if near:
        raise ConfigError(f"{key}: cannot import {name!r}: {module} has no {attribute}; did you mean {near[0]}?")
    return found


def call(make: Callable[[], Made], name: str, error: type[BilateralError] = ConfigError) -> Made:
    """Call own code; whatever it raises becomes one sentence that says where. BilateralErrors stay as they are."""
    try:
        return make()
    except BilateralError:
        raise
    except (Exception, SystemExit) as cause:
        raise error(f"{name} failed: {describe(cause)}") from cause


def refuse_strange(names: Iterable[str], allowed: Collection[str], source: str, error: type[BilateralError]) -> None:
    """Raise `error` if a file (`source`) names own code that the user did not allow by naming it too."""
    names = set(names)
    strange = sorted({name for name in names if is_own(name)} - set(allowed))
    if strange:
        near = get_close_matches(strange[0], set(allowed) - set(names), n=1)
        raise error(
            f"{source} names code that is not part of bilateral, {' and '.join(map(repr, strange))}: if you trust it, "
            f"name it yourself with {' '.join(f'--own {name}' for name in strange)} (in Python: own_code={strange})"
            + (f"; {near[0]} was named" if near else "")
        )


def describe(error: BaseException) -> str:
    """An exception in a clause: its kind, its text, and the last line of own code that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    package, standard = str(Path(__file__).parents[1]), str(Path(traceback.__file__).parent)
    own = [frame for frame in frames if not frame.filename.startswith((package, standard, sys.prefix, "<frozen"))]
    where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"
