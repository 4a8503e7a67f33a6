"""The rows of the published experiment, as data: of which networks each is made, how these are trained, its title."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from ..models.config import SIDES
from ..runs.plan import prefix_of
from ..runs.predictions import Combination, ensemble, hemispheres_ensemble, side_by_side

Nth = tuple[str, int]
"""A network: the row whose it is, and which one of this row. The second and later ones have other seeds."""
SYSTEM = ("left", "right", "specialised")
"""The rows of `bilateral system`. These, and variants of them, take hemispheres from given checkpoints, too."""
SYSTEM_TITLES = {"specialised": "bilateral"}
"""What the system calls its rows where that is not as published."""


@dataclass(frozen=True)
class PublishedRow:
    """How a row follows from the config.

    title: what the table calls it. about: what it is, and what it is there for. of: the networks whose predictions
    `combine` makes the row's of; none: a network of its own, for which the rest holds. side: the hemisphere that it is,
    under heads for its own labels; None: both. set: what it changes in the config, by dotted keys. match: what it has
    in common with the specialised network, for which one more setting is computed. copies: by side, the other side
    whose hemisphere stands there too. weights: what it starts from, by the prefix of its state; a hemisphere that comes
    so is frozen unless the config says otherwise. training: the section by which it is trained. tells: what a
    comparison of the specialised network with it tells, as a clause after "whether".
    """

    title: str
    about: str
    of: Sequence[Nth] = ()
    combine: Combination = lambda predictions, hierarchy: predictions[0]
    side: str | None = None
    set: Mapping[str, Any] = field(default_factory=dict)
    match: Literal["parameters", "training_flops"] | None = None
    copies: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, Nth] = field(default_factory=dict)
    training: str = "training"
    tells: str = ""

    @property
    def is_untrained(self) -> bool:
        """Whether hemispheres stay as they were drawn, so that it says nothing of how long one should train."""
        return "untrained" in self.set.values()


LEFT, RIGHT = map(prefix_of, SIDES)
_WHOLE = "experiment.end_to_end"


def _freeze(how: bool | str) -> dict[str, Any]:
    return {f"model.{side}.freeze": how for side in SIDES}


_UNILATERAL = PublishedRow(
    "one hemisphere, both heads",
    "One hemisphere that learns both kinds of labels.",
    side="left",
    set={"model.left.level": "both"},
    training=_WHOLE,
)
_OR_JUST_TWO = "is it specialisation, or just two networks?"
ROWS: dict[str, PublishedRow] = {
    "left": PublishedRow(
        "left alone", "The left hemisphere, which learns fine labels.", side="left", training="pretraining.left"
    ),
    "right": PublishedRow(
        "right alone", "The right hemisphere, which learns coarse labels.", side="right", training="pretraining.right"
    ),
    "side_by_side": PublishedRow(
        "left and right, not joined",
        "The fine label of left alone, and the coarse one of right alone: what does joining add?",
        of=[("left", 0), ("right", 0)],
        combine=side_by_side,
    ),
    "unilateral": _UNILATERAL,
    "unilateral_long": replace(
        _UNILATERAL,
        title="one hemisphere, as much training as bilateral",
        about="One hemisphere, trained until that has cost as much arithmetic: is it the training?",
        match="training_flops",
        tells="one hemisphere is as good when it is trained as long as both and their heads",
    ),
    "unilateral_wide": replace(
        _UNILATERAL,
        title="one wider hemisphere, same size as bilateral",
        about="One hemisphere with as many parameters as the bilateral network: is it the size?",
        match="parameters",
        tells="one hemisphere of the same size is as good",
    ),
    "nonspecialised": PublishedRow(
        "bilateral, not specialised",
        "Two hemispheres and both heads, trained together: is it having two of them?",
        set=_freeze(False),
        training=_WHOLE,
        tells="two hemispheres that are not specialised are as good",
    ),
    "two_left": PublishedRow(
        "bilateral, two left hemispheres",
        f"Two copies of the left kind: {_OR_JUST_TWO}",
        copies={"right": "left"},
        weights={LEFT: ("left", 0), RIGHT: ("left", 1)},
        tells="two hemispheres of one kind are as good",
    ),
    "two_right": PublishedRow(
        "bilateral, two right hemispheres",
        f"Two copies of the right kind: {_OR_JUST_TWO}",
        copies={"left": "right"},
        weights={LEFT: ("right", 0), RIGHT: ("right", 1)},
    ),
    "untrained": PublishedRow(
        "bilateral, untrained hemispheres",
        "Hemispheres with random weights, under trained heads: what can heads alone do?",
        set=_freeze("untrained"),
    ),
    "specialised": PublishedRow(
        "bilateral, specialised",
        "Left learns fine labels and right coarse ones; then both are frozen, and heads are trained on both.",
        weights={LEFT: ("left", 0), RIGHT: ("right", 0)},
    ),
    "fine_tuned": PublishedRow(
        "bilateral, specialised, fine-tuned",
        "The specialised network, trained on as a whole: does freezing cost something?",
        set=_freeze(False),
        weights={"": ("specialised", 0)},
        training="experiment.fine_tuning",
    ),
    "hemispheres_ensemble": PublishedRow(
        "ensemble of left and right",
        "The mean of what left alone and right alone say: joining without learning.",
        of=[("left", 0), ("right", 0)],
        combine=hemispheres_ensemble,
    ),
}
"""The rows by the names that a config gives them, but for ensembles."""
ENSEMBLE = "ensemble"
"""In a config: the ensembles of all `ensemble_sizes`."""
DEFAULT = [*(name for name in ROWS if name != "hemispheres_ensemble"), ENSEMBLE, "hemispheres_ensemble"]
"""The rows of an experiment that names none."""


def ensembles(size: int) -> dict[str, PublishedRow]:
    """The mean of the logits, and that of the probabilities, of so many two-headed networks."""
    of = [("unilateral", number) for number in range(size)]
    about = f"{size} networks of one hemisphere with both heads, whose {{}} are averaged: is it averaging?"
    tells = f"{size} whole networks whose answers are averaged are as good"
    return {
        f"ensemble_{size}{suffix}": PublishedRow(
            f"ensemble of {size} networks, mean {average}",
            about.format(average),
            of,
            partial(ensemble, average=average),
            tells=tells,
        )
        for average, suffix in (("logits", ""), ("probabilities", "_probabilities"))
    }


def find(name: str) -> PublishedRow | None:
    """Give the published row of a name, if there is one; ensembles have their size in it, such as ensemble_2."""
    size = re.fullmatch("ensemble_([1-9][0-9]?)(_probabilities)?", name)
    return ensembles(int(size[1])).get(name) if size and int(size[1]) > 1 else ROWS.get(name)
