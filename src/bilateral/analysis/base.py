"""What an analysis is, and which ones there are."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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


_ABOUT = {
    # name: (title, question)
    "contrasts": ("The answer", "Is the network in question better, and than what?"),
    "differences": ("Every difference", "Is the bilateral network better, and than what?"),
    "outcomes": ("Outcome groups", "Who was right, and what do the heads change?"),
    "head_shares": (
        "Who is listened to",
        "How much of each head's logits comes from left, and does that depend on the image?",
    ),
    "lesions": ("Lesions", "What does each head lose without each part of the network?"),
    "weights": ("Weights of the sides", "How much do the heads hear of left, and does that depend on the image?"),
    "specialisation": ("Specialisation", "Which hemisphere is for which labels?"),
    "asymmetries": ("Specialisation of every row", "Whose hemispheres specialise most, and is it more accurate?"),
    "global_local": ("Global and local", "Which hemisphere knows the large form, and which the small ones?"),
    "frequencies": ("Spatial frequencies", "Which spatial frequencies does each head need?"),
    "cka": ("Similarity of stages", "How alike are left and right, beside two seeds of one kind?"),
    "probes": ("Linear probes", "What can be read from each stage of each hemisphere?"),
    "cosine": ("Distances within a class", "Do left and right bring the same images together?"),
    "attribution": ("Where the hemispheres look", "Do left and right look at the same place?"),
    "occlusion": ("A check without gradients", "Does occlusion confirm the Grad-CAM maps?"),
    "confusion": ("Confusion", "Which superclasses are taken for which?"),
    "class_gains": ("Gain by class", "Which classes gain, and which lose, from the second hemisphere?"),
    "severity": ("Severity of mistakes", "How far from the truth are the mistakes?"),
    "calibration": ("Calibration", "Does certainty say how often a network is right?"),
    "robustness": ("Robustness", "What is left of accuracy on corrupted and attacked images?"),
    "learning_curves": ("Learning curves", "How do the networks learn?"),
    "cost": ("Cost and accuracy", "What does accuracy cost?"),
    "parts": ("Parameters and arithmetic", "Where do parameters and arithmetic lie?"),
    "gallery": ("Examples", "What do the images look like?"),
}
ANALYSES = tuple(_ABOUT)
"""Their names, in the order in which a report shows them; each is the functions of the file of that name."""


def find_analysis(name: str) -> Analysis:
    """Give the analysis of a name, or that of `package.module:OBJECT`. Raises ConfigError for what is none."""
    names = {each: f"{__package__}.{each}:compute" for each in ANALYSES}
    found = Registry("analysis", names, "package.module:OBJECT").find(name, "the analysis")
    if name in ANALYSES:
        module: Any = inspect.getmodule(found)
        return Analysis(name, *_ABOUT[name], module.compute, module.draw, module.tell)
    if not isinstance(found, Analysis):
        raise ConfigError(f"{name!r} is no bilateral.analysis.base.Analysis")
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
