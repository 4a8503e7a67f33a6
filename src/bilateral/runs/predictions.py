"""What networks said of the test images, kept in a file, so that no later question needs a network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from torch import Tensor

from ..base.errors import OutputError
from ..base.files import open_plain, whole_file
from ..data.hierarchy import LabelHierarchy
from ..models.ensemble import mean_logits

LEVELS = ("fine", "coarse")
MOST_BYTES = 2**30
"""Size of the largest predictions that are read, unpacked."""
_NAMES = tuple(f"{kind}_{level}" for kind in ("logits", "labels") for level in LEVELS)


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
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Read such a file. Raises OutputError where there is none, or it is damaged or holds anything else."""
        try:
            with open_plain(path) as content, ZipFile(content) as archive:
                if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
                    raise ValueError(f"it unpacks to more than {MOST_BYTES:,} bytes")
                names = [name.removesuffix(".npy") for name in archive.namelist()]
                if len(set(names)) < len(names) or not set(names) <= set(_NAMES):
                    raise ValueError(f"it holds {', '.join(names)[:200] or 'nothing'}")
                arrays = {}
                for name in names:
                    with archive.open(f"{name}.npy") as member:
                        arrays[name] = torch.from_numpy(np.lib.format.read_array(member, allow_pickle=False))
            logits = {level: arrays[f"logits_{level}"] for level in LEVELS if f"logits_{level}" in arrays}
            labels = {level: arrays[f"labels_{level}"].long() for level in LEVELS}
            _check(logits, labels)
            return cls(logits, labels)
        except KeyError as error:
            reason = f"it has no {error}"
        except (OSError, BadZipFile) as error:
            reason = getattr(error, "strerror", None) or str(error)
        except Exception as error:  # damaged bytes make decoders raise errors of any kind
            reason = str(error) or type(error).__name__
        raise OutputError(
            f"cannot read the predictions {path}: {reason}; the command that made the run makes them again"
        )

    def correct(self, level: str) -> Tensor:
        """Whether the best class of `level` is the right one: bool (N,)."""
        return self.logits[level].argmax(1) == self.labels[level]

    def accuracy_pct(self, level: str) -> float:
        """How many of the images that is so for, %."""
        return 100 * self.correct(level).double().mean().item()

    def log_probabilities(self, level: str) -> Tensor:
        """Of every class of `level`: (N, classes)."""
        return self.logits[level].log_softmax(1)


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write a whole .npz file of arrays, by name."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


Combination = Callable[[Sequence[Predictions], LabelHierarchy], Predictions]
"""Makes one network's predictions, or several networks', those of a row."""


def _check(logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> None:
    count = len(labels["fine"])
    for level, values in labels.items():
        if values.ndim != 1 or not len(values) == count > 0:
            raise ValueError(f"its {level} labels are {tuple(values.shape)}, not one for each of {count} images")
    for level, values in logits.items():
        if values.dtype != torch.float32 or values.ndim != 2 or len(values) != count:
            raise ValueError(
                f"its {level} logits are {values.dtype} {tuple(values.shape)}, not float32 for {count} images"
            )
        if not values.isfinite().all():
            raise ValueError(f"its {level} logits are not all finite numbers")
        if not 0 <= int(labels[level].min()) <= int(labels[level].max()) < values.shape[1]:
            raise ValueError(f"its {level} labels are outside the {values.shape[1]} classes")


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
