"""What analyses are made of: finished runs, the networks in them, and the images that they were tested on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.errors import ConfigError, DataError, OutputError
from ..data import sources
from ..data.hierarchy import LabelHierarchy
from ..data.images import HierarchicalDataset, HierarchicalImages
from ..experiment.joint_inference import exponent_of
from ..experiment.networks import settings_of
from ..experiment.published import ROWS, SYSTEM, SYSTEM_TITLES
from ..experiment.rows import find_row
from ..models.config import SIDES
from ..models.network import Network
from ..runs.config import Config, check_config
from ..runs.execution import split
from ..runs.overrides import override
from ..runs.plan import prefix_of
from ..runs.predictions import LEVELS, Combination, Predictions
from ..runs.stored import StoredRun, beside, read_stored_config, trusted
from ..training.device import choose_device
from ..training.evaluation import Evaluation, evaluate
from .recorded import Provenance, SystemTable, Table, read_json


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
    """A bilateral network of one seed, and the runs that trained its hemispheres."""

    seed: int
    left: StoredRun
    right: StoredRun
    bilateral: StoredRun
    device: torch.device

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

    _held_out: dict[int, Evaluation] = field(default_factory=dict, init=False, repr=False, compare=False)

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
        systems = []
        for seed, (bilateral,) in self.rows[self.subject].runs.items():
            parents = bilateral.parents()
            left, right = (parents[prefix_of(side)] for side in SIDES)
            systems.append(System(seed, left, right, bilateral, device))
        return systems

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

    def held_out_evaluation(self, system: System) -> Evaluation | None:
        """The same of the images that validated, computed once; None where none were held out."""
        if self.config.protocol == "original":
            return None
        if system.seed not in self._held_out:
            images = split(self.config, self.dataset)[1]
            self._held_out[system.seed] = evaluate(system.network, images, system.bilateral.description.normalise)
        return self._held_out[system.seed]

    def evaluation(self, system: System) -> Evaluation:
        """Features and logits of the test images in float32, computed once."""
        if system.seed not in self._evaluations:
            self._evaluations[system.seed] = evaluate(
                system.network, self.images, system.bilateral.description.normalise
            )
        return self._evaluations[system.seed]


def open_study(
    paths: Sequence[Path], overrides: list[str], subject: str | None = None, own_code: Collection[str] = ()
) -> Study:
    """Open an experiment's or a system's folder, or the folders of bilateral runs of several seeds.

    overrides: `data.KEY=VALUE` and `training.device=NAME`. subject: the row to look into; `specialised` if not given.
    own_code: what `package.module:Object` the runs' configs and checkpoints may name. Nothing is downloaded unless
    `overrides` say so. Raises OutputError for what is no such folder, or was changed; ConfigError for a row that cannot
    be looked into, and for code that is not allowed.
    """
    for text in overrides:
        if not text.startswith(("data.", "training.device=")):
            raise ConfigError(f"{text}: here only data.KEY=VALUE and training.device=NAME can be set")
    paths = [path.resolve() if path.name in ("", "..") else path for path in paths]
    if len(paths) == 1 and _is_experiment(paths[0]):
        study = _open_experiment(paths[0], overrides, subject, own_code)
    elif len(paths) > 1 and any(map(_is_experiment, paths)):
        raise ConfigError("an experiment or a system is looked into by itself; give one folder")
    elif subject is not None:
        raise ConfigError("--row: only an experiment has rows to choose from")
    else:
        runs = [StoredRun.open(folder, own_code) for path in paths for folder in _bilateral_folders(path)]
        study = _study_of_runs(runs, paths[0], overrides, own_code)
    for row in study.rows.values():
        for group in row.runs.values():
            for run in group:
                _check_predictions(run, study)
    return study


def _is_experiment(path: Path) -> bool:
    """Whether it is the folder of an experiment that is more than a system, which asks nothing."""
    source = path / "provenance.json"
    if not source.is_file():
        return False
    asks = bool(read_json(path / "table.json", Table).get("answer"))
    return asks or not set(read_json(source, Provenance)["runs"]) <= set(SYSTEM)


def _open_experiment(path: Path, overrides: list[str], subject: str | None, own_code: Collection[str]) -> Study:
    source = path / "provenance.json"
    provenance, table = read_json(source, Provenance), read_json(path / "table.json", Table)
    titles = {row["name"]: row["title"] for row in table["rows"]}
    try:
        config = check_config(override(provenance["config"], overrides, Config), str(source))
    except RecursionError:
        raise OutputError(f"cannot read {source}: its config is nested too deeply; run the experiment again") from None
    rows, settings = {}, settings_of(config)
    for name, folders in provenance["runs"].items():
        runs = {
            int(seed): [StoredRun.open(beside(path.parent, folder, source), own_code) for folder in group]
            for seed, group in folders.items()
        }
        if runs:
            kind = find_row(name, settings)
            count = len(kind.of) or 1 if kind else 0
            if kind is None or name not in titles or any(len(group) != count for group in runs.values()):
                raise OutputError(f"{source}: its row {name!r} is not one of table.json; run the experiment again")
            rows[name] = StudyRow(name, titles[name], runs, kind.combine)
    joined = [name for name, row in rows.items() if all(_is_joined(group) for group in row.runs.values())]
    chosen = subject or ("specialised" if "specialised" in joined else joined[0] if joined else "specialised")
    if chosen not in joined:
        which = f"it has {', '.join(joined)}" if joined else "it has none"
        raise ConfigError(f"--row: {path} has no row {chosen!r} of two hemispheres that were trained apart; {which}")
    return Study(config.name, path, rows, chosen, trusted(config, overrides, own_code, str(source)), table)


def _check_predictions(run: StoredRun, study: Study) -> None:
    """Raise OutputError unless what a run said is of the same images as the others', and of these labels."""
    said, first = run.predictions, next(iter(study.rows[study.subject].runs.values()))[0].predictions
    counts = {"fine": study.hierarchy.fine_count, "coarse": study.hierarchy.coarse_count}
    same = all(said.labels[level].equal(first.labels[level]) for level in LEVELS)
    fits = all(logits.shape[1] == counts[level] for level, logits in said.logits.items())
    fine, coarse = (said.labels[level] for level in LEVELS)
    known = int(fine.max()) < counts["fine"] and study.hierarchy.roll_up(fine).equal(coarse)
    if not (same and fits and known):
        raise OutputError(
            f"the predictions of {run.folder} are not of the test images and labels of the other runs; delete that "
            "folder to do the run again"
        )


def _study_of_runs(runs: Sequence[StoredRun], path: Path, overrides: list[str], own_code: Collection[str]) -> Study:
    by_seed = {run.seed: run for run in sorted(runs, key=lambda run: run.seed)}
    if len(by_seed) < len(runs):
        raise OutputError(f"{path}: two of the runs have the same seed; name one folder a seed")
    if len({run.record.kind for run in runs}) > 1:
        raise OutputError(f"{path}: the runs are not of one kind (config, data or code differ); name those of one")
    for run in runs:
        if not _is_joined([run]):
            raise OutputError(
                f"{run.folder} is no bilateral network whose hemispheres were trained by runs of their own; "
                "give a run of `bilateral system` or of an experiment"
            )
    parents = {seed: run.parents() for seed, run in by_seed.items()}
    pairs = {seed: [parents[seed][prefix_of(side)] for side in SIDES] for seed in by_seed}
    runs_of = {
        "left": {seed: pair[:1] for seed, pair in pairs.items()},
        "right": {seed: pair[1:] for seed, pair in pairs.items()},
        "side_by_side": pairs,
        "specialised": {seed: [run] for seed, run in by_seed.items()},
        "hemispheres_ensemble": pairs,
    }
    made = {name: StudyRow(name, ROWS[name].title, found, ROWS[name].combine) for name, found in runs_of.items()}
    made["specialised"] = replace(made["specialised"], title=SYSTEM_TITLES["specialised"])
    config = read_stored_config(runs[0].folder / "config.yaml", overrides, own_code)
    return Study(config.name, path, made, "specialised", config)


def _bilateral_folders(path: Path) -> list[Path]:
    """The folders of bilateral runs that a path stands for: itself, those in it, or those of a system."""
    if (path / "run.yaml").is_file():
        return [path]
    if (path / "provenance.json").is_file():
        source = path / "provenance.json"
        groups = read_json(source, Provenance)["runs"].get("specialised", {}).values()
        found = [beside(path.parent, folder, source) for group in groups for folder in group]
    elif (path / "table.json").is_file():
        source = path / "table.json"
        runs = read_json(source, SystemTable).get("runs", [])
        found = [beside(path.parent, run["folder"], source) for run in runs if run["row"] == "bilateral"]
    else:
        found = sorted(record.parent for record in path.glob("*/run.yaml"))
    if not found:
        raise OutputError(
            f"{path} holds no finished runs; give the folder of an experiment ({{name}}-experiment), "
            "of a system ({name}-system), or of a bilateral run"
        )
    return found


def _is_joined(runs: Sequence[StoredRun]) -> bool:
    return len(runs) == 1 and set(runs[0].record.parents) == set(map(prefix_of, SIDES))
