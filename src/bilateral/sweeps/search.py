"""The settings that a sweep tries, read from the command line: a grid, or random draws."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any

import numpy as np

from ..base.errors import ConfigError
from ..base.yaml_files import YamlError, in_one_line, parse_yaml
from ..runs.experiment_config import CHANGEABLE

Setting = dict[str, str]
"""The value of each swept key, as text: `{"model.left.width": "0.5"}`."""
_DISTRIBUTION = re.compile(r"([a-z_]+)\(([^()]*)\)")
_BOUNDS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "uniform": ("two numbers, the smaller one first", lambda low, high: low < high),
    "loguniform": ("two numbers above 0, the smaller one first", lambda low, high: 0 < low < high),
    "randint": ("two whole numbers, the smaller one first", lambda low, high: low < high and low % 1 == high % 1 == 0),
}
"""What the bounds of each distribution must be."""


@dataclass(frozen=True)
class Search:
    """What a sweep tries: its keys, and its settings in order, no two the same.

    geometric: the keys whose values were drawn evenly over their logarithm. is_random: whether settings were drawn.
    """

    keys: list[str]
    settings: list[Setting]
    geometric: frozenset[str]
    is_random: bool


def is_swept(argument: str) -> bool:
    """Whether a `key=values` argument is swept: a list, or a distribution, for a key that rows may differ in.

    >>> is_swept("model.left.width=[0.25, 0.5]"), is_swept("model.left.width=0.5"), is_swept("seeds=[0, 1]")
    (True, False, False)
    """
    key, _, values = argument.partition("=")
    changeable = any(f"{key}.".startswith(f"{section}.") for section in CHANGEABLE)
    return changeable and (values.startswith("[") or _DISTRIBUTION.fullmatch(values) is not None)


def read_search(arguments: Sequence[str], samples: int | None = None, search_seed: int | None = None) -> Search:
    """Read swept arguments: without `samples` the product of their lists, else so many draws from lists and ranges.

    A range is uniform(LOW, HIGH), loguniform(LOW, HIGH) or randint(LOW, HIGH), the last without HIGH, as in scipy.
    Draws have four significant digits. Raises ConfigError for what cannot be tried.

    >>> read_search(["model.left.width=[0.25, 0.5]"]).settings
    [{'model.left.width': '0.25'}, {'model.left.width': '0.5'}]
    >>> read_search(["model.left.parts.noise.std=loguniform(1e-3, 1)"], samples=2).settings
    [{'model.left.parts.noise.std': '0.0443'}, {'model.left.parts.noise.std': '0.1398'}]
    """
    from sklearn.model_selection import ParameterGrid, ParameterSampler  # takes a second to import

    space: dict[str, Any] = {}
    for argument in arguments:
        key, _, values = argument.partition("=")
        if key in space:
            raise ConfigError(f"{key}: is given twice; give all of its values in one list")
        space[key] = _values(key, values)
    if not space:
        raise ConfigError(
            "a sweep needs a key with several values, such as 'model.left.width=[0.25, 0.5]'; it can be a setting of "
            f"{', '.join(CHANGEABLE)}"
        )
    lists = [values for values in space.values() if isinstance(values, list)]
    if samples is None:
        if len(lists) < len(space):
            raise ConfigError("--samples: give the number of settings to draw from the distributions, such as 20")
        if search_seed is not None:
            raise ConfigError("--search-seed: has no effect on a grid; give --samples too, or leave it out")
        drawn = list(ParameterGrid(space))
    else:
        if samples < 1:
            raise ConfigError(f"--samples: must be 1 or more, not {samples}")
        if not 0 <= (search_seed or 0) < 2**32:
            raise ConfigError(f"--search-seed: must be from 0 to {2**32 - 1}, not {search_seed}")
        if len(lists) == len(space) and samples > (most := prod(map(len, lists))):
            raise ConfigError(f"--samples: the lists have {most} settings, fewer than {samples}; leave it out for all")
        drawn = list(ParameterSampler(space, samples, random_state=search_seed or 0))
    settings = [{key: _text(setting[key]) for key in space} for setting in drawn]
    distinct = list({tuple(setting.items()): setting for setting in settings}.values())
    geometric = frozenset(argument.partition("=")[0] for argument in arguments if "=loguniform(" in argument)
    return Search(list(space), distinct, geometric, samples is not None)


def _values(key: str, text: str) -> Any:
    """A list of texts, or one of scipy's distributions."""
    if found := _DISTRIBUTION.fullmatch(text):
        return _distribution(key, *found.groups())
    try:
        typed = parse_yaml(text, as_text=True)
        # A list or mapping among the values has numbers in it that must stay numbers.
        plain = typed if all(isinstance(value, str) for value in typed) else parse_yaml(text)
    except YamlError as error:
        raise ConfigError(f"{key}: {text:.80} is not a list: {error}") from None
    texts = [a if isinstance(a, str) else in_one_line(b).removesuffix("\n...") for a, b in zip(typed, plain)]
    if not texts:
        raise ConfigError(f"{key}: the list is empty; give the values to try, such as [0.1, 0.2]")
    if repeated := next((each for each in texts if texts.count(each) > 1), None):
        raise ConfigError(f"{key}: the list has {repeated} twice")
    return texts


def _distribution(key: str, name: str, bounds: str) -> Any:
    from scipy import stats  # takes a second to import

    if name not in _BOUNDS:
        raise ConfigError(f"{key}: there is no distribution {name!r}; allowed: {', '.join(_BOUNDS)}")
    wanted, fit = _BOUNDS[name]
    try:
        low, high = map(float, bounds.split(","))
    except ValueError:
        low = high = inf
    if not (-inf < low < inf and -inf < high < inf and fit(low, high)):
        raise ConfigError(f"{key}: {name}({bounds}) must have {wanted}")
    if name == "uniform":
        return stats.uniform(low, high - low)
    return stats.loguniform(low, high) if name == "loguniform" else stats.randint(int(low), int(high))


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
