"""Says which trainings keep their epochs when `training.epochs`, which is of the joined network, is given."""

import logging
from collections.abc import Sequence

from ..models.config import SIDES
from .config import Config

log = logging.getLogger(__name__)
_KEY = "training.epochs"


def tell_stage_epochs(config: Config, arguments: Sequence[str], swept: Sequence[str] = ()) -> None:
    """Log the trainings that an argument `training.epochs=...` does not change, if there are any.

    config: as it is with the arguments. swept: the keys that a sweep gives several values.
    """
    typed = {text.partition("=")[0] for text in arguments}
    if _KEY not in typed:
        return
    sections = {f"pretraining.{side}": getattr(config.pretraining, side) for side in SIDES}
    if config.experiment:
        sections |= {"experiment.end_to_end": config.experiment.end_to_end}
    kept = [
        f"{name}.epochs={section.epochs}"
        for name, section in sections.items()
        if f"{name}.epochs" not in typed and (_KEY in swept or section.epochs != config.training.epochs)
    ]
    if kept:
        log.info("%s is of the joined network; these stay unless you give them too: %s", _KEY, ", ".join(kept))
