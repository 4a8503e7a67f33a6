"""Folders of finished runs, by the paths that people and records give."""

import logging
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from .errors import CheckpointError, OutputError
from .files import read_json

log = logging.getLogger(__name__)

FILE = "run.yaml"
CHECKPOINTS = "checkpoints"
PROVENANCE = "provenance.json"
"""Of an experiment or a system: from which config and runs its table is."""
FAILURE = "failure.log"
"""Why a run failed, as a traceback."""
Seed = Annotated[str, Field(pattern=r"^(?:0|[1-9][0-9]{0,17})$")]


class Provenance(BaseModel):
    """What PROVENANCE says: the config of an experiment or a system, and by row and seed the folders of its runs."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    config: dict[str, Any]
    runs: dict[str, dict[Seed, Annotated[list[str], Field(min_length=1)]]]

    @classmethod
    def read(cls, folder: Path) -> "Provenance":
        """Read that of an experiment's folder. Raises OutputError."""
        found: Provenance = read_json(folder / PROVENANCE, cls, "run the command that made it again")
        return found


def run_names(recorded: str) -> tuple[str, str]:
    """Give the last two names of a recorded folder, its group's and its own. Raises ValueError where it has no such."""
    path = Path(recorded)
    names = path.relative_to(path.anchor).parts[-2:]
    if len(names) < 2 or ".." in names or "\0" in recorded:
        raise ValueError(f"{recorded!r:.200} is no folder of a run")
    return names[0], names[1]


def beside(save_dir: Path, recorded: str, source: Path) -> Path:
    """Where a run is now that a file (`source`) names: in the same `save_dir`. Raises OutputError for no such name."""
    try:
        return save_dir.joinpath(*run_names(recorded))
    except ValueError as error:
        raise OutputError(f"{source} names a run wrongly: {error}; run the command that made it again") from None


def runs_in(folder: Path, row: str | None = None) -> list[Path]:
    """Give the finished runs in a folder, or those that an experiment or a system wrote of itself in it.

    row: of the latter, whose; if not given, those of the specialised network, where it has one. Raises OutputError for
    a row that is not there.
    """
    source = folder / PROVENANCE
    if not source.is_file():
        if row is not None:
            raise OutputError(f"--row {row}: {folder} is not the folder of an experiment, such as runs/NAME-experiment")
        return sorted(record.parent for record in folder.glob(f"*/{FILE}"))
    rows = Provenance.read(folder).runs
    if row is not None and row not in rows:
        raise OutputError(f"{folder} has no row {row!r}; it has: {', '.join(rows)}")
    taken = row or ("specialised" if rows.get("specialised") else None)
    groups = [group for name, seeds in rows.items() if taken in (name, None) for group in seeds.values()]
    return [beside(folder.parent, each, source) for group in groups for each in group]


def named_run(path: Path, row: str | None = None) -> Path:
    """Give the run that a path names to what looks into one network: itself, or the newest one in its folder.

    row: of an experiment's folder, whose run. Where there are several, the log says which one that is.
    """
    runs = runs_in(path, row) if row is not None else _runs_of(path)
    if len(runs) > 1:
        experiment = (path / PROVENANCE).is_file()
        other = "--row, or the folder of another one," if experiment and row is None else "the folder of another one"
        log.warning("%s has %d runs; the newest is taken, %s; give %s to take that", path, len(runs), runs[-1], other)
    return runs[-1] if runs else path


def only_run(path: Path) -> Path:
    """Give the run that a path names to what is trained from it: itself, or the only one in its folder.

    Raises CheckpointError, which lists them, where there are several: which is the newest changes.
    """
    runs = _runs_of(path)
    if len(runs) > 1:
        raise CheckpointError("\n  ".join([f"{path} has several runs; give one of them:", *map(str, runs)]))
    return runs[0] if runs else path


def _runs_of(path: Path) -> list[Path]:
    """The runs in a folder that is not one itself, by the time in their names."""
    try:
        is_run = not path.is_dir() or any((path / name).exists() for name in (FILE, CHECKPOINTS))
    except (OSError, ValueError):  # a name that no file can have, which whoever opens it tells
        return []
    return [] if is_run else sorted(runs_in(path), key=lambda run: run.name)
