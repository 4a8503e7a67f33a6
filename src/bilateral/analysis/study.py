"""What analyses are made of: finished runs, the networks in them, and the images that they were tested on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.errors import DataError, OutputError
from ..data import sources
from ..data.hierarchy import LabelHierarchy
from ..data.images import HierarchicalDataset, HierarchicalImages
from ..experiments.joint_inference import exponent_of
from ..models.config import SIDES
from ..models.network import Network
from ..runs.config import Config, read_config
from ..runs.execution import split
from ..runs.plan import prefix_of
from ..runs.predictions import LEVELS, Combination, Predictions
from ..runs.stored import StoredRun
from ..training.device import choose_device
from ..training.evaluation import Evaluation, evaluate


class NotApplicableError(Exception):
    """An analysis has nothing to say of these runs. The text is a clause that says why."""


@dataclass(frozen=True)
class StudyRow:
    """One line of the table: the runs of each seed, and how their predictions make the row's."""

    name: str
    title: str
    runs: Mapping[int, Sequence[StoredRun]]
    combine: Combination


@dataclass(frozen=True)
class System:
    """A bilateral network of one seed, and by side the runs that trained its hemispheres before, if there are such."""

    seed: int
    bilateral: StoredRun
    alone: Mapping[str, StoredRun]
    device: torch.device

    @property
    def left(self) -> StoredRun:
        """The run that trained its left hemisphere. Raises NotApplicableError where none did."""
        return self._alone("left")

    @property
    def right(self) -> StoredRun:
        """The same of the right one."""
        return self._alone("right")

    def _alone(self, side: str) -> StoredRun:
        if side not in self.alone:
            raise NotApplicableError(f"no run trained the {side} hemisphere by itself")
        return self.alone[side]

    @cached_property
    def network(self) -> Network:
        """The bilateral network, in evaluation mode."""
        return self.bilateral.network().to(self.device).requires_grad_(False)

    def check_specialised(self) -> None:
        """Raise NotApplicableError unless left has a fine head of its own and right a coarse one."""
        if "fine" not in self.left.predictions.logits or "coarse" not in self.right.predictions.logits:
            raise NotApplicableError("left and right were not trained on fine and on coarse labels")

    def check_heads(self, levels: Collection[str] = LEVELS) -> None:
        """Raise NotApplicableError unless the bilateral network has a head for each of `levels`."""
        missing = [level for level in levels if level not in self.bilateral.predictions.logits]
        if missing:
            raise NotApplicableError(f"the bilateral network has no {missing[0]} head")

    def evaluate(self, images: HierarchicalImages) -> Evaluation:
        """Features and logits of any images, in float32."""
        return evaluate(self.network, images, self.bilateral.description.normalise)

    def normalise(self, images: Tensor) -> Tensor:
        """Make of uint8 images (B, 3, H, W) what the network takes, on its device."""
        return self.bilateral.description.normalise(images.to(self.device))


@dataclass(frozen=True)
class Study:
    """Finished runs that belong together, most often an experiment's.

    folder: where they are; results of analyses go into its `analysis`. rows: by name, as in the experiment's table.
    subject: the row whose networks are looked into, a bilateral one. table: the experiment's table.json, if there is
    one.
    """

    name: str
    folder: Path
    rows: Mapping[str, StudyRow]
    subject: str
    config: Config
    table: Mapping[str, Any] | None = None
    _evaluations: dict[int, Evaluation] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def dataset(self) -> HierarchicalDataset:
        """The data set that the runs were trained and tested on. Raises DataError if the images are others now."""
        dataset = sources.load(self.config.data)
        trained_on = self.systems[0].bilateral.record.data.fingerprint
        if dataset.fingerprint != trained_on:
            raise DataError(
                f"the data set {dataset.name} at {self.config.data.root or 'its defaults'} is not the one that "
                f"{self.systems[0].bilateral.folder} was trained and tested on; give that one by data.KEY=VALUE"
            )
        return dataset

    @property
    def rows_of_two_sides(self) -> list[str]:
        """The rows that are a network of two hemispheres, which can be looked into."""
        return [name for name, row in self.rows.items() if all(map(is_of_two_sides, row.runs.values()))]

    def of(self, row: str) -> "Study":
        """The same study, looking into another row."""
        other = replace(self, subject=row)
        other.__dict__["dataset"] = self.dataset
        return other

    @property
    def images(self) -> HierarchicalImages:
        """The test images."""
        return self.dataset.test

    @cached_property
    def hierarchy(self) -> LabelHierarchy:
        """The labels, which the checkpoints name too, so that no image is needed for them."""
        return self.systems[0].bilateral.description.hierarchy or self.dataset.hierarchy

    @cached_property
    def systems(self) -> list[System]:
        """The bilateral networks under study with their hemispheres, by seed."""
        device = choose_device(self.config.training.device)
        runs = {seed: run for seed, (run,) in self.rows[self.subject].runs.items()}
        return [System(seed, run, hemispheres_of(run), device) for seed, run in runs.items()]

    def predictions(self, row: str) -> dict[int, Predictions]:
        """What a row says of the test images, by seed."""
        found = self.rows[row]
        try:
            return {
                seed: found.combine([run.predictions for run in runs], self.hierarchy)
                for seed, runs in found.runs.items()
            }
        except KeyError as missing:
            raise OutputError(
                f"{self.folder}: the runs recorded for the row {row} lack a head that it is made of ({missing}); run "
                "the command that made them again"
            ) from None

    def exponent(self, row: str, seed: int) -> float:
        """The exponent of a row's joint distribution, fitted on held-out images; 1 where none were held out."""
        found = self.rows[row]
        return exponent_of([run.held_out for run in found.runs[seed]], found.combine, self.hierarchy)

    def evaluation(self, system: System) -> Evaluation:
        """Features and logits of the test images in float32, computed once."""
        if system.seed not in self._evaluations:
            self._evaluations[system.seed] = system.evaluate(self.images)
        return self._evaluations[system.seed]

    def held_out_evaluation(self, system: System) -> Evaluation | None:
        """The same of the images that validated; None where none were held out."""
        if self.config.protocol == "original":
            return None
        return system.evaluate(split(self.config, self.dataset)[1])


def is_of_two_sides(runs: Sequence[StoredRun]) -> bool:
    """Whether the runs of a row and seed are one network of two hemispheres."""
    if len(runs) != 1:
        return False
    # Nothing that the config names is opened, so it may name anything.
    joined = set(runs[0].record.parents) & set(map(prefix_of, SIDES))
    return bool(joined) or read_config(runs[0].folder / "config.yaml").model.mode_hemis == "bilateral"


def hemispheres_of(run: StoredRun) -> dict[str, StoredRun]:
    """The runs that trained a network's hemispheres before these were joined, by side."""
    parents = run.parents()
    return {side: parents[prefix_of(side)] for side in SIDES if prefix_of(side) in parents}
