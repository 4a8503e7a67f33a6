"""A few test images of the data that a network was trained on, for a person who has no picture at hand."""

import logging
from typing import Any

import torch

from ..analysis.gradcam import encoded
from ..base.errors import BilateralError
from ..data import sources
from ..data.config import DataConfig

log = logging.getLogger(__name__)
SAMPLES = 8
_FEW = {"train_per_class": 2, "test_per_class": 1}
_DRAWN = {"shapes": "shapes", "navon": "options"}
"""By embedded data set, which is drawn in no time: the section that says of how many images."""


def samples(data: DataConfig | None) -> list[dict[str, Any]]:
    """Give a test image of each of some classes: `name` of the fine label, and `png` in base64; none without the data.

    Nothing is downloaded.
    """
    if data is None:
        return []
    given = data.model_dump(exclude_unset=True) | {"download": False}
    if section := _DRAWN.get(data.name):
        given[section] = given.get(section, {}) | _FEW
    try:
        dataset = sources.load(DataConfig.model_validate(given))
    except (BilateralError, OSError) as error:
        log.info("no test images to try: %s", error)
        return []
    hierarchy, test = dataset.hierarchy, dataset.test
    found = []
    for fine in spread_labels(hierarchy.fine_count):
        image = test.images[int(torch.nonzero(test.fine == fine)[0])]
        found.append({"name": hierarchy.fine_names[fine], "png": encoded(image)})
    return found


def spread_labels(count: int) -> list[int]:
    """Choose SAMPLES of `count` fine labels, or all: of different superclasses, and of different kinds within them.

    >>> spread_labels(40), spread_labels(3)
    ([0, 6, 12, 18, 24, 30, 36, 2], [0, 2, 1])
    """
    step = max(1, count // SAMPLES) + 1
    spread = [step * place % count for place in range(SAMPLES)]
    return [*dict.fromkeys([*spread, *range(count)])][:SAMPLES]
