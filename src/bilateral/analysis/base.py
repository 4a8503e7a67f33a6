"""What an analysis is, and which ones there are."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..base.errors import ConfigError
from ..base.own_code import load_object
from ..base.registry import Registry
from ..models.config import SIDES
from ..runs.predictions import LEVELS
from .study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True)
class Analysis:
    """One question to finished runs.

    compute: from a study (its networks, images and predictions) to a tidy table; it trains nothing, and may raise
    NotApplicableError. draw: from that table to a figure (see `style`). tell: from the table to a sentence or two that
    say, with figures, what is to be seen. They are said only if all that they rest on is better than chance (see
    `chance`). rests_on: `fine`, `coarse`: the heads; `left`, `right`: the sides as they were trained apart. readouts:
    from the table to the accuracy, %, of its own readouts, by level.
    """

    name: str
    title: str
    question: str
    compute: Callable[[Study], "DataFrame"]
    draw: Callable[["DataFrame"], "Figure"]
    tell: Callable[["DataFrame"], str]
    rests_on: Sequence[str] = ()
    readouts: Callable[["DataFrame"], Mapping[str, float]] | None = None


_ABOUT = {
    # name: (title, question)
    "contrasts": ("Declared comparisons", "Is this network better than the ones it was declared to be compared with?"),
    "differences": ("Difference from every other network", "Is the bilateral network better, and than which others?"),
    "outcomes": ("Correct and wrong answers", "Which answers of a hemisphere alone do the heads correct or spoil?"),
    "head_shares": (
        "Share of each hemisphere in the heads",
        "How much of each head's scores comes from left, and does that depend on the image?",
    ),
    "lesions": ("Lesions", "How much accuracy does each head lose when a part of the network is switched off?"),
    "weights": (
        "Weights of the hemispheres in the join",
        "How strongly does the join weigh left, and does that depend on the image?",
    ),
    "specialisation": ("Specialisation", "Which labels does each hemisphere know best?"),
    "asymmetries": ("Specialisation of every network", "Are networks with more specialised hemispheres more accurate?"),
    "global_local": ("Global and local forms", "Which hemisphere knows the large form, and which the small ones?"),
    "frequencies": ("Spatial frequencies", "Which spatial frequencies does each head need?"),
    "cka": ("Similarity of representations", "How similar are left and right, compared with two seeds of one kind?"),
    "probes": ("Linear probes", "What can a linear classifier read from each stage of each hemisphere?"),
    "cosine": ("Distances within a class", "Do left and right find the same images of a class similar?"),
    "attribution": ("Overlap of Grad-CAM maps", "Do left and right look at the same place in an image?"),
    "occlusion": ("Occlusion", "Does covering parts of the image confirm the Grad-CAM maps?"),
    "confusion": ("Confusions between superclasses", "Which superclasses are confused with which?"),
    "class_gains": ("Gain by class", "Which classes gain, and which lose, from the second hemisphere?"),
    "severity": ("Severity of mistakes", "How many mistakes stay within the right superclass?"),
    "calibration": ("Calibration", "Is a network right as often as its probabilities say?"),
    "robustness": ("Robustness", "How much accuracy is lost on corrupted and attacked images?"),
    "learning_curves": ("Learning curves", "How does accuracy on validation images rise during training?"),
    "cost": ("Cost and accuracy", "Which networks are the most accurate for their cost?"),
    "parts": ("Parameters and multiply-adds by stage", "Which stages have most parameters and arithmetic?"),
    "gallery": ("Example images", "Which images does each hemisphere get right, and where does it look?"),
}
ANALYSES = tuple(_ABOUT)
"""Their names, in the order in which a report shows them; each is the functions of the file of that name.

What its sentence rests on is RESTS_ON there, without it both heads.
"""


def find_analysis(name: str) -> Analysis:
    """Give the analysis of a name, or that of `package.module:OBJECT`. Raises ConfigError for what is none."""
    names = {each: f"{__package__}.{each}:compute" for each in ANALYSES}
    found = Registry("analysis", names, "package.module:OBJECT").find(name, "the analysis")
    if name in ANALYSES:
        module: Any = inspect.getmodule(found)
        rests_on, readouts = getattr(module, "RESTS_ON", LEVELS), getattr(module, "readouts", None)
        return Analysis(name, *_ABOUT[name], module.compute, module.draw, module.tell, rests_on, readouts)
    if not isinstance(found, Analysis):
        raise ConfigError(f"{name!r} is no bilateral.analysis.base.Analysis")
    if not isinstance(found.name, str) or found.name in ANALYSES or not found.name.isidentifier():
        raise ConfigError(f"{name!r}: its name {found.name!r} must be a word that no analysis has yet")
    if not {*found.rests_on} <= {*LEVELS, *SIDES}:
        raise ConfigError(f"{name!r}: its `rests_on` may have {', '.join((*LEVELS, *SIDES))}, not {found.rests_on!r}")
    if not inspect.isfunction(found.compute):
        raise ConfigError(
            f"{name!r}: its `compute` must be a function of a module, not a {type(found.compute).__name__}"
        )
    return found


def own_analyses(own_code: Iterable[str]) -> list[Analysis]:
    """Give those of the user's own objects that are analyses. Raises ConfigError for one that cannot be imported."""
    return [find_analysis(name) for name in own_code if isinstance(load_object(name, "--own"), Analysis)]
