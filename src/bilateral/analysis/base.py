"""What an analysis is, and which ones there are."""

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base.errors import ConfigError
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
    "differences",
    "outcomes",
    "head_shares",
    "ablation",
    "cka",
    "probes",
    "cosine",
    "attribution",
    "occlusion",
    "confusion",
    "class_gains",
    "severity",
    "calibration",
    "learning_curves",
    "cost",
    "parts",
    "gallery",
)
"""Their names, in the order in which a report shows them; each is the file of that name, and in it ANALYSIS."""


def find_analysis(name: str) -> Analysis:
    """Give the analysis of a name, or that of `package.module:OBJECT`. Raises ConfigError for what is none."""
    module, _, attribute = name.partition(":")
    if not attribute:
        if name not in ANALYSES:
            raise ConfigError(
                f"there is no analysis {name!r}; allowed: {', '.join(ANALYSES)}, or package.module:OBJECT"
            )
        module, attribute = f"{__package__}.{name}", "ANALYSIS"
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"cannot import the analysis {name!r}: {error}") from error
    if not isinstance(found, Analysis):
        raise ConfigError(f"{name!r} is no bilateral.analysis.base.Analysis")
    if ":" in name and (found.name in ANALYSES or not found.name.isidentifier()):
        raise ConfigError(f"{name!r}: its name {found.name!r} must be a word that no analysis has yet")
    if not inspect.isfunction(found.compute):
        raise ConfigError(
            f"{name!r}: its `compute` must be a function of a module, not a {type(found.compute).__name__}"
        )
    return found
