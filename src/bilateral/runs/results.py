"""Results over seeds as files: how they are written, and the original's summary, result_all.yaml."""

import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..base.errors import OutputError
from ..base.files import write_text
from ..base.statistics import summarise
from ..base.yaml_files import to_yaml
from ..training.run_record import FILE, RunRecord, read_record

log = logging.getLogger(__name__)


def write_what_was_shown(write: Callable[[], object], file: Path) -> None:
    """Write results that the user has already. Where they cannot be written over older ones, that is a warning."""
    try:
        write()
        log.info("written to %s", file.parent)
    except OutputError as error:
        if not file.exists():
            raise
        warnings.warn(f"{error}; {file.parent} keeps what an earlier command wrote", stacklevel=1)


def write_result_all(folders: Sequence[Path]) -> Path | None:
    """Write the original's summary of one network's runs, result_all.yaml, into their group's folder; give its path.

    It covers every tested run of the same kind in that folder, whatever command it was done by. Accuracies are shares
    (0 to 1); `stddev` is the sample deviation (None for one seed). Nothing is written where nothing was tested.
    """
    own = [record for folder in folders if (record := _record(folder))]
    if not own or not all(record.metrics for record in own):
        return None
    group, kinds, names = folders[0].parent, {record.kind for record in own}, own[0].metrics.keys()
    runs: dict[int, dict[str, Any]] = {}
    for folder in sorted(path.parent for path in group.glob(f"*/{FILE}")):
        record = _record(folder)
        if record and record.kind in kinds and names <= record.metrics.keys():
            runs[record.seed] = {"seed": record.seed, "folder": folder.name, "result": [record.metrics]}
    summary: dict[str, Any] = {"n": len(runs)}
    for suffix in ("_fine", "_coarse") if "test_acc_coarse" in names else ("",):
        values = summarise([run["result"][0][f"test_acc{suffix}"] for run in runs.values()])
        summary[f"mean{suffix}"] = values["mean"]
        summary[f"stddev{suffix}"] = values["std"]
        summary[f"ci95{suffix}"] = list(values["ci95"]) if values["ci95"] else None
    text = to_yaml({"summary": summary, "runs": [runs[seed] for seed in sorted(runs)]})
    write_text(group / "result_all.yaml", text)
    return group / "result_all.yaml"


def _record(folder: Path) -> RunRecord | None:
    """The record of a run; None too where it is damaged, which is told when that run is used."""
    with suppress(OutputError):
        return read_record(folder)
    return None
