"""Variants of an experiment's rows: from what a person writes to one row each, with all that differs."""

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Any

from ..base.errors import ConfigError
from ..base.yaml_files import in_one_line
from .experiment_config import CHANGEABLE, ExperimentConfig, VariantConfig
from .overrides import put

if TYPE_CHECKING:
    from .config import Config

Values = dict[str, Any]
BASE_TITLE = "{from}"
"""In a title: what the published row is called that the row is made from."""
Changes = list[tuple[str, Any]]
"""What is set, by dotted keys, in this order."""


def settle(
    config: "Config", settings: ExperimentConfig, values: Values, check: Callable[[Values, str], "Config"]
) -> ExperimentConfig:
    """Give a config's settings of an experiment with every variant as rows that are made from published ones.

    The `set` of each then has all that differs from the config, also what inherits from a setting that is changed: the
    row is that of an experiment with these settings. values: the config as it is written. check: reads such values,
    and names in errors where they stand. Raises ConfigError.
    """
    written = {**values, "experiment": {key: value for key, value in values["experiment"].items() if key != "variants"}}
    own, made, rows_of = config.model_dump(mode="json"), _Made(settings.variants), dict[str, list[str]]()
    settled = {}
    for row, variant in made.variant_of.items():
        rows_of.setdefault(variant, []).append(row)
        where = f"experiment.variants.{variant}.set"
        base, title, changes = made.row(row)
        changed = copy.deepcopy(written)
        for key, value in changes:
            put(changed, key.split("."), copy.deepcopy(value), where)  # the next change may reach into it
        found = check(changed, where).model_dump(mode="json")
        differing = [each for key in CHANGEABLE for each in _differences(_at(own, key), _at(found, key), key)]
        settled[row] = VariantConfig.model_validate({"title": title, "from": base, "set": dict(differing)})
    family = settings.contrasts
    if len(rows_of.get(family.row, [])) > 1:
        raise ConfigError(f"experiment.contrasts.row: {family.row} is several rows; take one, such as {family.row}_1")

    def rows(names: list[str]) -> list[str]:
        return [row for name in names for row in rows_of.get(name, [name])]

    update: dict[str, Any] = {"variants": settled, "without": rows(settings.without)}
    update |= {"rows": rows(settings.rows)} if settings.rows is not None else {}
    update["contrasts"] = family.model_copy(update={"against": rows(family.against)})
    return settings.model_copy(update=update)


class _Made:
    """The rows of variants: of a sweep one for each combination of its values, NAME_1, NAME_2, ..."""

    def __init__(self, variants: Mapping[str, VariantConfig]) -> None:
        self.variants = variants
        self.variant_of: dict[str, str] = {}
        self.own: dict[str, Changes] = {}
        for name, variant in variants.items():
            for number, values in enumerate(product(*variant.sweep.values()), 1):
                row = f"{name}_{number}" if variant.sweep else name
                if row in self.variant_of or (variant.sweep and row in variants):
                    raise ConfigError(f"experiment.variants: {row} is the name of two rows; rename a variant")
                self.variant_of[row] = name
                self.own[row] = [*variant.set.items(), *zip(variant.sweep, values)]

    def row(self, name: str, above: tuple[str, ...] = ()) -> tuple[str, str, Changes]:
        """The published row that a row is made from in the end, its title, and all that is changed."""
        if name in above:
            circle = " from ".join((*above[above.index(name) :], name))
            raise ConfigError(f"experiment.variants: {circle} is a circle; make one of them from another row")
        variant = self.variants[self.variant_of[name]]
        base, title, changes = variant.base, BASE_TITLE, Changes()
        if base in self.own:
            base, title, changes = self.row(base, (*above, name))
        elif base in self.variants:
            raise ConfigError(
                f"experiment.variants.{self.variant_of[name]}.from: {base} is several rows; take one, such as {base}_1"
            )
        told = dict(self.own[name])
        if variant.title is not None:
            title, told = variant.title, {key: told[key] for key in variant.sweep}
        return (
            base,
            ", ".join([title, *(f"{key}={_shown(value)}" for key, value in told.items())]),
            changes + self.own[name],
        )


def _shown(value: Any) -> str:
    return in_one_line(value) if isinstance(value, dict | list) else str(value)


def _differences(own: Any, found: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(own, dict) and isinstance(found, dict) and own.keys() <= found.keys():
        for name, value in found.items():
            yield from _differences(own.get(name, ...), value, f"{key}.{name}")
    elif own != found:
        yield key, found


def _at(values: Values, key: str) -> Any:
    return reduce(lambda section, name: section[name], key.split("."), values)
