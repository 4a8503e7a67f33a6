"""What an analysis is, and which ones there are."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base.errors import ConfigError
from ..base.own_code import load_object
from ..base.registry import Registry
from .study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True)
class Analysis:
    """One question to finished runs.

    compute: from a study (its networks, images and predictions) to a tidy table; it trains nothing, and may raise
    NotApplicableError. draw: from that table to a figure (see `style`). tell: from the table to a sentence or two that
    say, with figures, what is to be seen.
    """

    name: str
    title: str
    question: str
    compute: Callable[[Study], "DataFrame"]
    draw: Callable[["DataFrame"], "Figure"]
    tell: Callable[["DataFrame"], str]


ANALYSES: Sequence[str] = (
    "contrasts",
    "differences",
    "outcomes",
    "head_shares",
    "ablation",
    "specialisation",
    "global_local",
    "frequencies",
    "cka",
    "probes",
    "cosine",
    "attribution",
    "occlusion",
    "confusion",
    "class_gains",
    "severity",
    "calibration",
    "robustness",
    "learning_curves",
    "cost",
    "parts",
    "gallery",
)
"""Their names, in the order in which a report shows them; each is the file of that name, and in it ANALYSIS."""


def find_analysis(name: str) -> Analysis:
    """Give the analysis of a name, or that of `package.module:OBJECT`. Raises ConfigError for what is none."""
    names = {each: f"{__package__}.{each}:ANALYSIS" for each in ANALYSES}
    found = Registry("analysis", names, "package.module:OBJECT").find(name, "the analysis")
    if not isinstance(found, Analysis):
        raise ConfigError(f"{name!r} is no bilateral.analysis.base.Analysis")
    if name in ANALYSES:
        return found
    if not isinstance(found.name, str) or found.name in ANALYSES or not found.name.isidentifier():
        raise ConfigError(f"{name!r}: its name {found.name!r} must be a word that no analysis has yet")
    if not inspect.isfunction(found.compute):
        raise ConfigError(
            f"{name!r}: its `compute` must be a function of a module, not a {type(found.compute).__name__}"
        )
    return found


def own_analyses(own_code: Iterable[str]) -> list[Analysis]:
    """Give those of the user's own objects that are analyses. Raises ConfigError for one that cannot be imported."""
    return [find_analysis(name) for name in own_code if isinstance(load_object(name, "--own"), Analysis)]
