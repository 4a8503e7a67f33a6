"""`key=value` on the command line: the value is the text that was typed, read by the type of its key."""

import copy
import re
import types
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from ..base.errors import ConfigError
from ..base.yaml_files import parse_yaml
from ..original.keys import OUR_KEYS

_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_WHOLE = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*")
_OF_VARIANT = re.compile(r"experiment\.variants\.[^.]+\.set\.")
# In an ensemble this key of the original code lists files.
_LISTED = {"hparams.model_path_fine": list[Path] | Path | None}


def override(values: dict[str, Any], overrides: Sequence[str], root: type[BaseModel]) -> dict[str, Any]:
    """Give a copy of nested `values` in which each `key=value` is set, such as "training.epochs=20".

    root: the sections that say of which type each key is. A list or section is written as in YAML: `seeds=[0, 1]`.
    What cannot be read by its type stays text, which is refused when the config is checked. Raises ConfigError for
    what has no such form.
    """
    values = copy.deepcopy(values)
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(f"the override {text!r} must have the form key=value, such as training.epochs=20")
        of_variant = _OF_VARIANT.match(key)  # whose settings have dotted keys of their own
        setting = key[of_variant.end() :] if of_variant else key
        path = [*of_variant[0].rstrip(".").split("."), setting] if of_variant else key.split(".")
        annotation = _LISTED.get(key) or _annotation(root, OUR_KEYS.get(setting, setting).split("."))
        put(values, path, _or_as_given(annotation, value), f"the override {text!r}")
    return values


def put(values: dict[str, Any], path: Sequence[str], value: Any, what: str) -> None:
    """Set in nested `values` what stands at a path of keys. Raises ConfigError that begins with `what`."""
    *sections, last = path
    for section in sections:
        if values.get(section) is None:
            values[section] = {}
        values = values[section]
        if not isinstance(values, dict):
            raise ConfigError(f"{what}: {section} is a value, not a section")
    values[last] = value


def _annotation(section: Any, path: Sequence[str]) -> Any:
    """The type of a key; Any where there is no such key, which is told when the config is checked."""
    for name in path:
        model = next((each for each in (section, *get_args(section)) if _is_section(each)), None)
        if model is None or name not in model.model_fields:
            return Any
        field = model.model_fields[name]
        section = field.annotation
    return section


def _read(annotation: Any, given: Any) -> Any:
    """Read text, or the texts in a list or mapping, as a value of a type. Raises ValueError where that cannot be."""
    origin, members = get_origin(annotation), get_args(annotation)
    is_nothing = given is None or given in ("", "null", "~")
    if annotation is Any:
        return parse_yaml(given) if isinstance(given, str) else _scalars(given)
    if origin is Annotated:
        return _read(members[0], given)
    if origin in (Union, types.UnionType):
        if types.NoneType in members and is_nothing:
            return None
        for member in members:
            if member is not types.NoneType:
                with suppress(ValueError):
                    return _read(member, given)
    elif annotation in (str, Path):
        if isinstance(given, str):
            return given
    elif is_nothing:
        return None
    elif origin is Literal:
        for value in members:
            if given == str(value):
                return value
    elif origin is list or origin is dict or _is_section(annotation):
        return _read_group(annotation, parse_yaml(given, as_text=True) if isinstance(given, str) else given)
    elif isinstance(given, str):
        if annotation not in (bool, int, float):
            return given
        if annotation is bool and given.lower() in _FLAGS:
            return _FLAGS[given.lower()]
        if annotation is float or (annotation is int and _WHOLE.fullmatch(given)):
            return annotation(given)
    raise ValueError


def _read_group(annotation: Any, given: Any) -> Any:
    origin, members = get_origin(annotation), get_args(annotation)
    if origin is list and isinstance(given, list):
        return [_or_as_given(members[0], each) for each in given]
    if origin is list or not isinstance(given, dict):
        raise ValueError
    kinds = {key: members[1] if origin is dict else _annotation(annotation, [key]) for key in given}
    return {key: _or_as_given(kinds[key], value) for key, value in given.items()}


def _scalars(given: Any) -> Any:
    """Read the texts in a list or mapping whose types nobody knows yet, as YAML would."""
    if isinstance(given, dict):
        return {key: _scalars(value) for key, value in given.items()}
    if isinstance(given, list):
        return [_scalars(value) for value in given]
    with suppress(ValueError):  # what is unclear stays text
        found = parse_yaml(given) if isinstance(given, str) else given
        return given if isinstance(found, dict | list) else found
    return given


def _or_as_given(annotation: Any, given: Any) -> Any:
    try:
        return _read(annotation, given)
    except ValueError:
        return given


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
