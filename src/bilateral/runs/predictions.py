"""What networks said of the test images, kept in a file, so that no later question needs a network."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from ..base.errors import OutputError
from ..base.files import whole_file
from ..data.hierarchy import LabelHierarchy
from ..models.macro import mean_logits


@dataclass(frozen=True)
class Predictions:
    """The answers to N images, in the order of the data set.

    logits: by level, those that there are, float32 (N, classes). labels: the right answers by level, int64 (N,).
    """

    logits: dict[str, Tensor]
    labels: dict[str, Tensor]

    def save(self, path: Path) -> None:
        """Write an .npz file: `logits_fine`, `logits_coarse` (float32), `labels_fine`, `labels_coarse`."""
        arrays: dict[str, Any] = {f"logits_{level}": values.numpy() for level, values in self.logits.items()}
        for level, values in self.labels.items():
            arrays[f"labels_{level}"] = values.numpy().astype(np.min_scalar_type(int(values.max())))
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Read such a file. Raises OutputError where there is none or it is damaged."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: torch.from_numpy(file[name]) for name in file.files}
            logits = {level: arrays[f"logits_{level}"] for level in LEVELS if f"logits_{level}" in arrays}
            return cls(logits, {level: arrays[f"labels_{level}"].long() for level in LEVELS})
        except (OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError, BadZipFile, zlib.error) as error:
            raise OutputError(
                f"cannot read the predictions {path}: {error}; delete the run's folder to redo it"
            ) from error

    @classmethod
    def are_whole(cls, path: Path) -> bool:
        """Whether there is such a file, undamaged."""
        try:
            cls.load(path)
        except OutputError:
            return False
        return True

    def correct(self, level: str) -> Tensor:
        """Whether the best class of `level` is the right one: bool (N,)."""
        return self.logits[level].argmax(1) == self.labels[level]

    def accuracy_pct(self, level: str) -> float:
        """How many of the images that is so for, %."""
        return 100 * self.correct(level).double().mean().item()

    def log_probabilities(self, level: str) -> Tensor:
        """Of every class of `level`: (N, classes)."""
        return self.logits[level].log_softmax(1)


LEVELS = ("fine", "coarse")


def side_by_side(predictions: Sequence[Predictions], hierarchy: LabelHierarchy) -> Predictions:
    """Take fine from the one network and coarse from the other, two that are not joined."""
    left, right = predictions
    return Predictions({"fine": left.logits["fine"], "coarse": right.logits["coarse"]}, left.labels)


def ensemble(predictions: Sequence[Predictions], hierarchy: LabelHierarchy, average: str) -> Predictions:
    """Take the mean of networks' logits or probabilities (`average`), of every level that all of them have."""
    shared = [level for level in LEVELS if all(level in each.logits for each in predictions)]
    logits = {
        level: mean_logits(torch.stack([each.logits[level] for each in predictions]), average) for level in shared
    }
    return Predictions(logits, predictions[0].labels)


def hemispheres_ensemble(predictions: Sequence[Predictions], hierarchy: LabelHierarchy) -> Predictions:
    """Take the mean of what a left (fine) and a right (coarse) network give each class, as probabilities.

    Either says something of both levels: the left's coarse probabilities are the sums of its fine ones, the right's
    fine ones are its coarse ones shared out within each superclass as the left has it. So the fine answer adds up
    to the coarse one.
    """
    left, right = predictions
    fine, coarse = left.log_probabilities("fine"), right.log_probabilities("coarse")
    coarse_of_fine = torch.tensor(hierarchy.coarse_of_fine)
    rolled_up = roll_up_log_probabilities(fine, hierarchy)
    shared_out = fine - rolled_up[:, coarse_of_fine] + coarse[:, coarse_of_fine]
    logits = {
        "fine": mean_logits(torch.stack([fine, shared_out]), "probabilities"),
        "coarse": mean_logits(torch.stack([rolled_up, coarse]), "probabilities"),
    }
    return Predictions(logits, left.labels)


def roll_up_log_probabilities(fine: Tensor, hierarchy: LabelHierarchy) -> Tensor:
    """Add up fine log-probabilities (N, F) within each superclass: (N, C)."""
    coarse_of_fine = torch.tensor(hierarchy.coarse_of_fine)
    members = [fine[:, coarse_of_fine == coarse].logsumexp(1) for coarse in range(hierarchy.coarse_count)]
    return torch.stack(members, 1)
