"""YAML read so that it means to this program what it means to a person, and takes no more memory than its text."""

import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

from .files import read_text

MOST_BYTES = 2**22
"""Size of the largest YAML file that is read."""
_MOST_VALUES = 200_000
_DEEPEST = 100
"""Brackets within brackets, beyond which PyYAML takes seconds."""
_ODD_LINE_ENDS = frozenset("\x85\u2028\u2029")
_Mark = yaml.error.Mark


class YamlError(ValueError):
    """Text that is no YAML, or that a person reads in another way than YAML does. Says where and why, in a clause."""


def read_yaml(path: Path) -> Any:
    """Read the plain values in a YAML file. Raises OSError where it cannot be read, YamlError as `parse_yaml` does."""
    try:
        text = read_text(path, MOST_BYTES)
    except UnicodeDecodeError as error:
        raise YamlError(f"it is no UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from None
    return parse_yaml(text)


def parse_yaml(text: str, as_text: bool = False) -> Any:
    """Give the plain values (mappings, lists, text, numbers, true and false, null) that YAML text stands for.

    as_text: give every single value but null as the text that was typed. Numbers are decimal (`1e-3` too) or 0x...;
    what YAML and a person read differently is refused unless it is in quotes: 010, 1:30, 2024-01-01, no. So are a key
    given twice, and aliases that make far more values than are written down.

    >>> parse_yaml("seeds: [0, 1]")
    {'seeds': [0, 1]}
    """
    try:
        return yaml.load(text, _TextLoader if as_text else _PlainLoader)
    except yaml.YAMLError as error:
        raise YamlError(_message(error)) from None
    except RecursionError:
        raise YamlError("it is nested too deeply") from None
    except (ValueError, TypeError, OverflowError, AttributeError, LookupError) as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError(f"it has a value that is not of the kind it says ({error})") from None


def in_one_line(values: Any) -> str:
    """Give plain values as YAML in one line, for people: {width: 0.5, arch: vgg11}."""
    return yaml.dump(values, Dumper=_PlainDumper, sort_keys=False, default_flow_style=True, width=10**6).strip()


def to_yaml(values: Any, in_line: bool = False) -> str:
    """Give plain values as YAML that `parse_yaml` reads back to the same; in_line: as `{key: value}`."""
    style: dict[str, Any] = {"default_flow_style": True, "width": 10**6} if in_line else {}
    text = yaml.dump(values, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, **style)
    if _ODD_LINE_ENDS.isdisjoint(text):
        return text
    return yaml.dump(values, Dumper=_PlainDumper, sort_keys=False, **style)  # with escapes, which keep these whole


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key given twice, tags of other values (dates, bytes, sets), and aliases of far too many values."""

    yaml_constructors = {  # noqa: RUF012, as PyYAML has it
        tag: make
        for tag, make in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "bool", "int", "float", "str", "seq", "map")
    }

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _count(node, {}, frozenset()) > _MOST_VALUES:
            raise YamlError(f"its aliases stand for more than {_MOST_VALUES:,} values")
        return node

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level > _DEEPEST:
            raise YamlError("it is nested too deeply")
        super().fetch_flow_collection_start(token)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag.endswith(":merge"):
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a single word", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r:.80} is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _PlainLoader(_StrictLoader):
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012, as PyYAML has it


class _TextLoader(_StrictLoader):
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012


class _PlainDumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012


_KINDS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:(?:0|[1-9][0-9_]*)(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
    (
        "unclear",
        r"[-+]?0[0-9_]+(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|[-+]?0o?[0-7_]+|0b[01_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
        r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF",
        list("-+0123456789yYnNoO"),
    ),
)
for _kind, _pattern, _first in _KINDS:
    _readers: tuple[Any, ...] = (_PlainLoader, _PlainDumper, *([_TextLoader] if _kind in ("null", "merge") else []))
    for _reader in _readers:
        _reader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), _first)


def _refuse_unclear(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> NoReturn:
    raise yaml.constructor.ConstructorError(
        None,
        None,
        f"{node.value:.40} means one thing to some readers of YAML and another to others: put it in quotes if it is "
        "text, or write a plain number, true or false",
        node.start_mark,
    )


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    text = node.value.replace("_", "").lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_PlainLoader.add_constructor("tag:yaml.org,2002:unclear", _refuse_unclear)
_PlainLoader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def _count(node: yaml.Node, known: dict[int, int], above: frozenset[int]) -> int:
    """How many values a node stands for, with every alias as often as it is used."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in above:
        raise YamlError("an alias stands within what it names")
    if id(node) not in known:
        above = above | {id(node)}
        parts = [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_count(part, known, above) for part in parts)
    return known[id(node)]


def _message(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if isinstance(mark, _Mark) else ""
    return f"{where}{' '.join(str(problem).split())}"
