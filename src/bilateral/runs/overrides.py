"""`key=value` on the command line: the value is the text that was typed, read by the type of its key."""

import copy
import re
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from ..base.errors import ConfigError
from ..base.yaml_files import YamlError, parse_yaml
from ..original.keys import our_key

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
        _set(values, text, root)
    return values


def _set(values: dict[str, Any], text: str, root: type[BaseModel]) -> None:
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(f"the override {text!r} must have the form key=value, such as training.epochs=20")
    of_variant = _OF_VARIANT.match(key)  # whose settings have dotted keys of their own
    setting = key[of_variant.end() :] if of_variant else key
    path = [*of_variant[0].rstrip(".").split("."), setting] if of_variant else key.split(".")
    annotation = _LISTED.get(key) or _annotation(root, (our_key(setting) or setting).split("."))
    try:
        read = _read(annotation, value)
    except ValueError:
        read = value
    put(values, path, read, f"the override {text!r}")


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
    if annotation is Any:
        return _guess(given)
    if origin is Annotated:
        return _read(members[0], given)
    if origin in (Union, types.UnionType):
        return _read_union(members, given)
    if annotation in (str, Path):
        if isinstance(given, str):
            return given
        raise ValueError
    if given is None or given in ("", "null", "~"):
        return None
    if origin is Literal:
        return _read_literal(members, given)
    if origin is list or origin is dict or _is_section(annotation):
        return _read_group(annotation, parse_yaml(given, as_text=True) if isinstance(given, str) else given)
    if not isinstance(given, str):
        raise ValueError
    return _read_single(annotation, given)


def _read_literal(values: Sequence[Any], given: Any) -> Any:
    for value in values:
        if given == str(value):
            return value
    raise ValueError


def _read_union(members: Sequence[Any], given: Any) -> Any:
    if types.NoneType in members and (given is None or given in ("", "null", "~")):
        return None
    for member in members:
        if member is not types.NoneType:
            try:
                return _read(member, given)
            except ValueError:
                continue
    raise ValueError


def _read_group(annotation: Any, given: Any) -> Any:
    members = get_args(annotation)
    if get_origin(annotation) is list and isinstance(given, list):
        return [_or_as_given(members[0], each) for each in given]
    if not isinstance(given, dict) or get_origin(annotation) is list:
        raise ValueError
    if get_origin(annotation) is dict:
        return {key: _or_as_given(members[1], value) for key, value in given.items()}
    return {key: _or_as_given(_annotation(annotation, [key]), value) for key, value in given.items()}


def _or_as_given(annotation: Any, given: Any) -> Any:
    try:
        return _read(annotation, given)
    except ValueError:
        return given


def _read_single(annotation: Any, text: str) -> Any:
    if annotation is bool:
        if text.lower() not in _FLAGS:
            raise ValueError
        return _FLAGS[text.lower()]
    if annotation is int:
        if not _WHOLE.fullmatch(text):
            raise ValueError
        return int(text)
    if annotation is float:
        return float(text)
    return text


def _guess(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return parse_yaml(given)
    except YamlError:
        return given


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
