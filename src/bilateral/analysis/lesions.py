"""Lesions: what each head loses without a side, a share of its units, a bridge, or a part, and with noise on a side.

The larger a lesion of a side, the larger the loss ("mass effect"; Shevtsova and Reggia found it in a model of two
hemispheres). The shares of units show how far this goes.
"""

import itertools
from collections.abc import Mapping

import pandas as pd
import torch
from matplotlib.figure import Figure

from ..base.statistics import FirstPlace, Summary, first_place, summarise
from ..base.streams import derive_seed
from ..models.config import SIDES
from ..models.lesions.base import Lesion
from ..models.lesions.noise import Noise
from ..models.lesions.silence import Silence
from ..models.lesions.units import Units
from ..models.network import Network
from ..runs.predictions import LEVELS
from .heads import MEAN, accuracies
from .study import Study, System
from .style import COLOURS, INK, claim, panels, seed_points, sentence, told

SHARES = (0.2, 0.5, 0.8)
"""Of the units of a side that are lost."""
NOISE = 1.0
"""Standard deviations of the noise on a side's features; see `Noise`."""
OF_A_SIDE: Mapping[str, Lesion] = {
    "zeros": Silence(),
    "mean": MEAN,
    **{f"{100 * share:.0f} % of units": Units(Units.Options(share=share)) for share in SHARES},
    "noise": Noise(Noise.Options(std=NOISE)),
}


def compute(study: Study) -> pd.DataFrame:
    """Accuracy of each head (%) under every lesion, and the points lost against the intact network, for each seed.

    at: what is lesioned, as the config names it; "none" first. lesion: `zeros`, or `mean`, the mean features of the
    test images, which tells the heads what is usual but nothing of the image; `20 % of units` (50, 80); `noise` of
    NOISE deviations. Bridges, each direction of them, and parts are silenced: they change nothing. A side without its
    features still talks over the bridges; "left and its messages" is silent there, too.
    """
    lines = []
    for system in study.systems:
        intact = accuracies(system.network, study.evaluation(system))
        for (at, lesion), reached in ({("none", "none"): intact} | _damaged(study, system)).items():
            for level, share in reached.items():
                lines.append((system.seed, at, lesion, level, 100 * share, 100 * (intact[level] - share)))
    return pd.DataFrame(lines, columns=["seed", "at", "lesion", "level", "accuracy_pct", "points_lost"])


def _damaged(study: Study, system: System) -> dict[tuple[str, str], dict[str, float]]:
    """The accuracies (0 to 1) of the heads by what is lesioned and how."""
    network, said = system.network, study.evaluation(system)
    found = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(system.seed, "lesions"))
        for side, (name, lesion) in itertools.product(SIDES, OF_A_SIDE.items()):
            found[side, name] = accuracies(network, said, {side: lesion})
    for at, silenced in _silenced(network).items():
        with network.lesioned(dict.fromkeys(silenced, Silence())):
            damaged = system.evaluate(study.images)
        found[at, "zeros"] = accuracies(network, damaged)
    return found


def _silenced(network: Network) -> dict[str, list[str]]:
    """What needs a pass of its own: by name, what is silenced together."""
    found = {target: [target] for target in network.targets if target not in SIDES}
    if network.bridges:
        for side, other in zip(SIDES, reversed(SIDES)):
            found[f"{side} and its messages"] = [side, *(f"{bridge}.to_{other}" for bridge in network.bridges)]
    return found


def change(table: pd.DataFrame, level: str, at: str, lesion: str) -> Summary:
    """Summarise over seeds by how many points a lesion changes a head's accuracy."""
    return summarise((-lost(table, level, at, lesion)).tolist())


def lost(table: pd.DataFrame, level: str, at: str, lesion: str) -> pd.Series:
    """The points that a head loses by a lesion, by seed."""
    chosen = (table["level"] == level) & (table["at"] == at) & (table["lesion"] == lesion)
    return table[chosen].set_index("seed")["points_lost"]


def draw(table: pd.DataFrame) -> Figure:
    """The points that each head loses by every lesion: a point a seed, the mean and its 95 % interval."""
    levels = [level for level in LEVELS if level in set(table["level"])]
    lesions = table.loc[table["at"] != "none", ["at", "lesion"]].drop_duplicates().itertuples(index=False, name=None)
    rows = list(lesions)
    height = 1.0 + 0.2 * len(rows)
    figure, axes = panels(len(levels), height=height, sharex=True, squeeze=False)
    for panel, level in zip(axes[:, 0], levels):
        panel.axvline(0, color=INK, linewidth=0.6)
        for place, (at, lesion) in enumerate(rows):
            side = at.split(" ")[0].split(".")[0]
            colour = COLOURS[side if side in SIDES else "bilateral"]
            seed_points(panel, place, lost(table, level, at, lesion).tolist(), colour)
        panel.set(title=f"{level} head", ylim=(len(rows) - 0.5, -0.5))
        panel.set_yticks(range(len(rows)), [f"{at}: {lesion}" for at, lesion in rows], fontsize=8)
    axes[-1, 0].set_xlabel("points of accuracy lost")
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say which side each head loses more without, if that is shown, and how much without each bridge."""
    levels = [level for level in LEVELS if level in set(table["level"])]

    def changes(level: str, things: list[str], lesion: str) -> str:
        found = [f"{told(-lost(table, level, at, lesion))} without {at}" for at in things]
        return f"the {level} head {', '.join(found)}"

    needed = {level: _needed(table, level) for level in levels}
    clauses = [
        claim(
            found,
            f"the {level} head loses more without {found.first} than without {found.second}",
            f"the {level} head is not shown to need one side more",
        )
        for level, found in needed.items()
    ]
    sides = "; ".join(
        f"{changes(level, list(SIDES), 'mean')}, {found.second} less {found.first} {told(found.differences)}"
        for level, found in needed.items()
    )
    text = f"{sentence('; '.join(clauses))} With a side's features replaced by their mean, accuracy changes: {sides}."
    bridges = [at for at in table["at"].unique() if at not in (*SIDES, "none") and not set(at) & {".", " "}]
    if bridges:
        text += f" With a bridge silenced: {'; '.join(changes(level, bridges, 'zeros') for level in levels)}."
    return text


def _needed(table: pd.DataFrame, level: str) -> FirstPlace:
    """The side without which a head loses most: with its features replaced by their mean."""
    return first_place(pd.concat({side: lost(table, level, side, "mean") for side in SIDES}).to_dict())
