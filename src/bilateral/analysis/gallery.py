"""Examples of every outcome cell and every class, with each hemisphere's maps: for a person to look at."""

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..models.config import SIDES
from ..runs.predictions import Predictions
from .activations import BATCH
from .gradcam import chosen_stages, class_activation_maps, encoded, merge, packed, resized, scaled, unpacked
from .heads import contributions
from .outcomes import judgements, sayings
from .study import Study
from .style import LONGEST_CLASS, SEQUENTIAL, panels, short

RESTS_ON: tuple[str, ...] = ()

if TYPE_CHECKING:
    from numpy.typing import NDArray

PER_CLASS, PER_CELL, MOST = 6, 40, 900
"""How many images of a fine class and of an outcome cell are wanted, and how many there are in all at most."""
LARGEST, LARGEST_MAP = 256, 64
"""Pixels a side of pictures and of maps, at most, so that a page of many can be opened."""
DIGITS = 4
"""Of probabilities and shares, which a page shows to a tenth of a percent."""
TOP = 3
"""Labels of each prediction."""


def compute(study: Study) -> pd.DataFrame:
    """One line an image, of the first seed's networks.

    image: its index in the test set. cell: four digits, whether left, right, the fine and the coarse head were right.
    picture: WebP, base64. predictions: JSON, by judge the best labels with probabilities. shares: JSON, left's share of
    each head. maps: JSON, by head and side `height`, `width` and `values` (base64 of uint8, row by row); under
    `merged` the original's one map of the whole network.
    """
    system = study.systems[0]
    judged = torch.stack(list(judgements(system).values()), 1).int()
    cells = ["".join(map(str, line)) for line in judged.tolist()]
    fine, coarse = study.images.fine.tolist(), study.images.coarse.tolist()
    chosen = select(cells, fine)
    names = {"fine": study.hierarchy.fine_names, "coarse": study.hierarchy.coarse_names}
    shares = {
        level: contributions(system.network, level, study.evaluation(system).features).share
        for level in system.network.heads
    }
    lines = []
    maps = _maps(study, torch.tensor(chosen))
    for image, own in zip(chosen, maps):
        best = {judge: _best(said, level, image, names[level]) for judge, (said, level) in sayings(system).items()}
        lines.append(
            {
                "seed": system.seed,
                "image": image,
                "fine": names["fine"][fine[image]],
                "coarse": names["coarse"][coarse[image]],
                "cell": cells[image],
                "picture": encoded(_shrunk(study.images.images[image]), "WEBP", quality=85, method=6),
                "predictions": json.dumps(best),
                "shares": json.dumps({level: round(values[image].item(), DIGITS) for level, values in shares.items()}),
                "maps": json.dumps(own),
            }
        )
    return pd.DataFrame(lines)


def _shrunk(image: Tensor) -> Tensor:
    """An image, uint8 (3, H, W), with at most LARGEST pixels a side."""
    factor = LARGEST / max(image.shape[1:])
    if factor >= 1:
        return image
    height, width = (max(1, round(factor * extent)) for extent in image.shape[1:])
    return adaptive_avg_pool2d(image.float(), (height, width)).round().to(torch.uint8)


def select(cells: list[str], classes: list[int]) -> list[int]:
    """Choose images, in order: the first of each cell and of each class, up to PER_CELL, PER_CLASS and MOST."""
    places = pd.DataFrame({"cell": cells, "class": classes})
    rank_in_cell = places.groupby("cell").cumcount()
    rank_in_class = places.groupby("class").cumcount()
    # What is needed first by either counts first, so that MOST cuts off the least needed.
    urgency = np.minimum(rank_in_cell / PER_CELL, rank_in_class / PER_CLASS)
    wanted = urgency[urgency < 1].sort_values(kind="stable").index[:MOST]
    return sorted(int(index) for index in wanted)


def _maps(study: Study, chosen: Tensor) -> list[dict[str, dict[str, Any]]]:
    system, found = study.systems[0], []
    size = (study.images.images.shape[2], study.images.images.shape[3])
    stages = chosen_stages(system.network, size)
    for batch in study.images.images[chosen].split(BATCH):
        maps, _ = class_activation_maps(system.network, system.normalise(batch), stages)
        own = {
            (level, side): scaled(maps[level, side, stages[side][-1]])
            for level in system.network.heads
            for side in SIDES
        }
        largest = max(values.shape[1:] for values in maps.values())
        merged = resized(merge(maps, size), (min(largest[0], LARGEST_MAP), min(largest[1], LARGEST_MAP)))
        for place in range(len(batch)):
            by_level: dict[str, dict[str, Any]] = {"merged": {"both": packed(merged[place])}}
            for (level, side), values in own.items():
                by_level.setdefault(level, {})[side] = packed(values[place])
            found.append(by_level)
    return found


def _best(predictions: Predictions, level: str, image: int, names: tuple[str, ...]) -> list[tuple[str, float]]:
    probabilities, labels = predictions.logits[level][image].softmax(0).topk(min(TOP, len(names)))
    return [(names[label], round(p, DIGITS)) for label, p in zip(labels.tolist(), probabilities.tolist())]


def draw(table: pd.DataFrame) -> Figure:
    """An image of every cell: as it is, with left's map for the fine head, with right's map for the coarse head."""
    figure, axes = panels(4, 4, height=2.3)
    order, words = ("11", "10", "01", "00"), ("both", "{0} only", "{1} only", "neither")
    for row, alone in enumerate(order):
        for column, joined in enumerate(order):
            panel = axes[row, column]
            own = table[table["cell"].astype(str).str.zfill(4) == alone + joined]
            if own.empty:
                panel.text(0.5, 0.5, "none", ha="center", va="center")
            else:
                panel.imshow(_strip(own.iloc[0]), aspect="equal")
                panel.set_xlabel(short(own.iloc[0]["fine"], LONGEST_CLASS), fontsize=7)
            panel.grid(False)
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            panel.set_box_aspect(3)
            if row == 0:
                panel.set_title(f"heads: {words[column].format('fine', 'coarse')}", fontsize=8)
            if column == 0:
                panel.set_ylabel(f"alone:\n{words[row].format('left', 'right')}", fontsize=8)
    return figure


def _strip(line: pd.Series) -> "NDArray":
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(line["picture"]))).convert("RGB")) / 255
    maps = json.loads(line["maps"])
    parts = [picture]
    for level, side in (("fine", "left"), ("coarse", "right")):
        seen = resized(unpacked(maps[level][side])[None], picture.shape[:2])[0].numpy()
        parts.append(0.45 * picture + 0.55 * colormaps[SEQUENTIAL](seen)[..., :3])
    gap = np.ones((2, picture.shape[1], 3))
    return np.concatenate([parts[0], gap, parts[1], gap, parts[2]], axis=0)


def tell(table: pd.DataFrame) -> str:
    """Say what is shown."""
    return (
        "Each picture is the first test image that these hemispheres and heads get right. It is shown three times, "
        "from the top: as it is, with left's Grad-CAM map for the fine head, and with right's for the coarse head. "
        f"There are {len(table)} images, with the networks of seed {table['seed'].iloc[0]}."
    )
