"""Kinds by name: the one way from a name in a config to code, and from its settings to checked options."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from .errors import ConfigError
from .own_code import is_own, load_object
from .section import Section
from .text import shown

_UNION_TAGS = {"number", "schedule"}
"""Parts of pydantic's locations that stand for a member of a union, not for a key."""


@dataclass(frozen=True)
class Registry:
    """What a setting may name: an entry of `names`, or `package.module:Object` for one of the user's own.

    noun: what the entries are, and own: the form of the user's own, for errors. names: where each one stands.
    libraries: where what makes `LIBRARY:NAME` stands, by LIBRARY (see `own_code.LIBRARIES`).

    >>> registry = Registry("part", {"noise": "bilateral.models.parts.noise:Noise"})
    >>> registry.find("noise", "model.left.parts.noise.kind").__name__
    'Noise'
    """

    noun: str
    names: Mapping[str, str]
    own: str = "package.module:Class"
    libraries: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str, key: str) -> Any:
        """Give the object of a name. key: the setting that names it, for errors. Raises ConfigError."""
        library, _, rest = name.partition(":")
        home = self.libraries.get(library) if rest else self.names.get(name)
        if home is None and not is_own(name):
            near = get_close_matches(name, self.names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"{key}: unknown {self.noun} {name!r}; {hint}allowed: {self}")
        return load_object(home or name, key)

    def __str__(self) -> str:
        """What is allowed, for people."""
        return f"{', '.join([*self.names, *(f'{library}:NAME' for library in self.libraries)])}, or {self.own}"


def read_options(owner: Any, given: Mapping[str, Any], key: str) -> Section:
    """Check the settings of a kind against its `Options`, a Section; a kind without one has no settings.

    Those of a function are its own, or those of its module.

    key: the section that they stand in, for errors. Raises ConfigError that names each setting that is wrong or that
    the kind does not read.
    """
    home = owner if isinstance(owner, type) else sys.modules.get(getattr(owner, "__module__", ""))
    options = getattr(owner, "Options", None) or getattr(home, "Options", Section)
    if not (isinstance(options, type) and issubclass(options, Section)):
        raise ConfigError(
            f"{key}: the Options of {owner.__name__} must be a subclass of bilateral.base.section.Section"
        )
    try:
        return options.model_validate(dict(given))
    except ValidationError as error:
        known = ", ".join(options.model_fields) or "none"
        name = owner.__name__ if isinstance(owner, type) else "this kind"
        problems = []
        for problem in error.errors():
            path = [shown(str(part)) for part in problem["loc"] if part not in _UNION_TAGS]
            where = ".".join(filter(None, [key, *path]))
            if problem["type"] == "extra_forbidden":
                problems.append(f"{where}: unknown setting; {name} has: {known}")
            elif problem["type"] == "missing":
                problems.append(f"{where}: is missing")
            else:
                instead = "" if isinstance(problem["input"], dict) else f", not {problem['input']!r}"
                begin = f"{where}: " if where else ""
                problems.append(f"{begin}{problem['msg'].removeprefix('Value error, ')}{instead}")
        raise ConfigError("; ".join(problems)) from None
