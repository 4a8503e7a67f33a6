"""Opens finished runs as a study, by their folders.

What an experiment or a system wrote of itself lies in files that anybody may have changed since.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .. import networks
from ..base.errors import ConfigError, OutputError
from ..base.files import read_json
from ..base.run_folders import PROVENANCE, Provenance, Seed, beside, runs_in
from ..experiments.contrasts import Contrast
from ..experiments.measures import MEASURES
from ..experiments.networks import settings_of
from ..experiments.published import ROWS, SYSTEM, SYSTEM_TITLES, find
from ..experiments.results import Gain
from ..experiments.rows import find_row
from ..models.config import SIDES
from ..runs.config import Config, check_config
from ..runs.export import runs_of
from ..runs.overrides import override
from ..runs.predictions import LEVELS
from ..runs.stored import StoredRun, read_stored_config, trusted
from .study import Study, StudyRow, hemispheres_of, is_of_two_sides

Kept = TypeVar("Kept", bound="_Part")
Measure = Annotated[str, Field(pattern=rf"^(?:{'|'.join(MEASURES)})$")]


class _Part(BaseModel):
    """A part of a file, in which more may stand than is checked."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Row(_Part):
    name: str
    title: str
    training_pflops: Annotated[float, Field(ge=0)] | None = None
    by_seed: dict[Seed, dict[Measure, float]] = {}


class Table(_Part):
    """Of an experiment's table.json, what analyses and the page read; older ones have no contrasts.

    by_seed: by row; older ones have it in each row, where it is put here too.
    """

    rows: list[_Row]
    by_seed: dict[str, dict[Seed, dict[Measure, float]]] = {}
    answer: str = ""
    doubts: list[str] = []
    contrasts: list[Contrast] = []
    gains: list[Gain] = []

    @model_validator(mode="after")
    def _in_rows(self) -> Self:
        for row in self.rows:
            row.by_seed = self.by_seed.get(row.name, row.by_seed)
        return self


class _SystemRun(_Part):
    row: str
    folder: str


class SystemTable(_Part):
    """Of a system's table.json, the folders of its runs."""

    runs: list[_SystemRun] = []


def open_study(
    folders: Path | str | Sequence[Path | str],
    overrides: Sequence[str] = (),
    row: str | None = None,
    own_code: Collection[str] = (),
) -> Study:
    """Open an experiment's or a system's folder, or the folders of bilateral runs of several seeds.

    An exported network, or the name of one that comes with the package, is tested first; `runs/` then has that run.

    overrides: `data.KEY=VALUE` and `training.device=NAME`. row: the one to look into; `specialised` if not given.
    own_code: what `package.module:Object` the runs' configs and checkpoints may name. Nothing is downloaded unless
    `overrides` say so. Raises OutputError for what is no such folder, or was changed; ConfigError for a row that cannot
    be looked into, and for code that is not allowed.

    >>> from bilateral import train
    >>> tiny = {"shapes": {"train_per_class": 2, "test_per_class": 1}}
    >>> model = {side: {"arch": "resnet9", "width": 0.0625} for side in ("left", "right")}
    >>> runs = train({"data": tiny, "model": model, "training": {"epochs": 1}, "seeds": [0, 1], "workers": 1})
    >>> study = open_study([run.folder for run in runs])
    >>> {seed: tuple(said.logits["fine"].shape) for seed, said in study.predictions("specialised").items()}
    {0: (40, 40), 1: (40, 40)}
    """
    for text in overrides:
        if not text.startswith(("data.", "training.device=")):
            raise ConfigError(f"{text}: here only data.KEY=VALUE and training.device=NAME can be set")
    given = map(Path, [folders] if isinstance(folders, str | Path) else folders)
    paths = [path.resolve() if path.name in ("", "..") else path for path in given]
    exported = networks.find(paths[0])
    if exported is not None:
        if len(paths) > 1 or row is not None:
            raise ConfigError(f"{paths[0]} is an exported network, which is looked into by itself; give no more")
        study = _study_of_exported(exported, overrides, own_code)
    elif len(paths) == 1 and (_is_experiment(paths[0]) or (row and (paths[0] / PROVENANCE).is_file())):
        study = _open_experiment(paths[0], overrides, row, own_code)
    elif len(paths) > 1 and any(map(_is_experiment, paths)):
        raise ConfigError("an experiment or a system is looked into by itself; give one folder")
    elif row is not None:
        raise ConfigError("--row: only an experiment has rows to choose from")
    else:
        runs = [StoredRun.open(folder, own_code) for path in paths for folder in _bilateral_folders(path)]
        study = _study_of_runs(runs, paths[0], overrides, own_code)
    for each in study.rows.values():
        for group in each.runs.values():
            for run in group:
                _check_predictions(run, study)
    return study


def _is_experiment(path: Path) -> bool:
    """Whether it is the folder of an experiment that is more than a system, which asks nothing."""
    source = path / PROVENANCE
    if not source.is_file():
        return False
    asks = bool(_read(path / "table.json", Table).answer)
    return asks or not set(Provenance.read(path).runs) <= set(SYSTEM)


def _open_experiment(path: Path, overrides: Sequence[str], subject: str | None, own_code: Collection[str]) -> Study:
    source = path / PROVENANCE
    provenance, table = Provenance.read(path), _read(path / "table.json", Table)
    titles = {row.name: row.title for row in table.rows}
    try:
        config = check_config(override(provenance.config, overrides, Config), str(source))
    except RecursionError:
        raise OutputError(f"cannot read {source}: its config is nested too deeply; run the experiment again") from None
    rows, settings = {}, settings_of(config)
    for name, folders in provenance.runs.items():
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
    chosen = _subject(rows, subject, path)
    return Study(config.name, path, rows, chosen, trusted(config, overrides, own_code, str(source)), table.model_dump())


def _subject(rows: Mapping[str, StudyRow], wanted: str | None, path: Path) -> str:
    """The row to look into: the one that is wanted, or else `specialised`, or one whose hemispheres were joined."""

    def is_one(name: str) -> bool:
        return name in rows and all(map(is_of_two_sides, rows[name].runs.values()))

    joined = [
        name for name, row in rows.items() if any(run.record.parents for runs in row.runs.values() for run in runs)
    ]
    found = next(filter(is_one, [wanted] if wanted else ["specialised", *joined, *rows]), None)
    if found is None:
        which = ", ".join(filter(is_one, rows)) or "none"
        row = wanted or "specialised"
        raise ConfigError(f"--row: {path} has no row {row!r} that is a network of two hemispheres; it has {which}")
    return found


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


def _study_of_runs(runs: Sequence[StoredRun], path: Path, overrides: Sequence[str], own_code: Collection[str]) -> Study:
    by_seed = {run.seed: run for run in sorted(runs, key=lambda run: run.seed)}
    if len(by_seed) < len(runs):
        raise OutputError(f"{path}: two of the runs have the same seed; name one folder a seed")
    if len({run.record.kind for run in runs}) > 1:
        raise OutputError(f"{path}: the runs are not of one kind (config, data or code differ); name those of one")
    for run in runs:
        if not is_of_two_sides([run]):
            raise OutputError(
                f"{run.folder} is no bilateral network; give a run of `bilateral system` or of an experiment"
            )
    pairs = {seed: [*hemispheres_of(run).values()] for seed, run in by_seed.items()}
    apart = all(len(pair) == len(SIDES) for pair in pairs.values())
    runs_of = {"specialised": {seed: [run] for seed, run in by_seed.items()}}
    if apart:
        left, right = ({seed: [pair[place]] for seed, pair in pairs.items()} for place in (0, 1))
        runs_of = {"left": left, "right": right, "side_by_side": pairs, **runs_of, "hemispheres_ensemble": pairs}
    titles = {name: ROWS[name].title for name in runs_of} | {"specialised": SYSTEM_TITLES["specialised"]}
    made = {name: StudyRow(name, titles[name], found, ROWS[name].combine) for name, found in runs_of.items()}
    config = read_stored_config(runs[0].folder / "config.yaml", overrides, own_code)
    return Study(config.name, path, made, "specialised", config)


def _study_of_exported(folder: Path, overrides: Sequence[str], own_code: Collection[str]) -> Study:
    """A study of an exported network, whose companions are rows beside it."""
    runs = runs_of(folder, overrides, own_code)
    whole = runs.pop("")
    study = _study_of_runs([whole], whole.config.save_dir / folder.name, overrides, own_code)
    rows = dict(study.rows)
    for name, run in runs.items():
        published = find(name)
        title, combine = (published.title, published.combine) if published else (name, ROWS["left"].combine)
        rows.setdefault(name, StudyRow(name, title, {whole.seed: [run]}, combine))
    return replace(study, rows=rows)


def _bilateral_folders(path: Path) -> list[Path]:
    """The folders of bilateral runs that a path stands for: itself, those in it, or those of a system."""
    if (path / "run.yaml").is_file():
        return [path]
    source = path / "table.json"
    if source.is_file() and not (path / PROVENANCE).is_file():  # of an older version
        runs = _read(source, SystemTable).runs
        found = [beside(path.parent, run.folder, source) for run in runs if run.row == "bilateral"]
    else:
        found = runs_in(path)
    if not found:
        raise OutputError(
            f"{path} holds no finished runs; give the folder of an experiment ({{name}}-experiment), "
            "of a system ({name}-system), or of a bilateral run"
        )
    return found


def _read(path: Path, kind: type[Kept]) -> Kept:
    read: Kept = read_json(path, kind, "run the command that made it again")
    return read
