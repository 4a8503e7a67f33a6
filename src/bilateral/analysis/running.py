"""Does analyses, each at most once for the same runs and the same code, and writes what comes of them."""

import ast
import hashlib
import inspect
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..base.files import whole_file, write_text
from ..runs.runner import commit
from ..training.device import choose_device, describe_machine
from .base import Analysis
from .study import NotApplicableError, Study

log = logging.getLogger(__name__)
PNG_DPI = 150
_SHARED = (
    *(f"analysis/{name}.py" for name in ("activations", "gradcam", "heads", "outcomes", "pictures", "study", "style")),
    *("base/statistics.py", "experiment/measures.py", "runs/predictions.py"),
)
"""The code that analyses share."""


@dataclass(frozen=True)
class AnalysisResult:
    """What came of an analysis: its sentence, or why it says nothing (`skipped`), and where that came from.

    Beside NAME.json, which holds this, lie NAME.csv, NAME.svg and NAME.png.
    """

    name: str
    title: str
    question: str
    sentence: str
    skipped: str
    inputs: str
    seconds: float
    finished: str
    commit: str | None
    machine: dict[str, Any]


def analyse(study: Study, analyses: Iterable[Analysis], folder: Path) -> list[AnalysisResult]:
    """Do every analysis that `folder` does not have yet of these runs, and write it there."""
    results = []
    for analysis in analyses:
        inputs = _inputs(study, analysis)
        result = _stored(folder, analysis, inputs)
        if result is None:
            result = _do(study, analysis, folder, inputs)
            log.info("%s: %s (%.1f s)", analysis.name, result.skipped or result.sentence, result.seconds)
        results.append(result)
    return results


def _do(study: Study, analysis: Analysis, folder: Path, inputs: str) -> AnalysisResult:
    from . import style  # with matplotlib, which takes a second to import

    started, sentence, skipped = time.perf_counter(), "", ""
    try:
        table = analysis.compute(study)
        sentence = analysis.tell(table)
        with style.styled():
            figure = analysis.draw(table)
            for form, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": PNG_DPI})):
                with whole_file(folder / f"{analysis.name}.{form}") as temporary:
                    figure.savefig(temporary, format=form, **options)
        with whole_file(folder / f"{analysis.name}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.7g")
    except NotApplicableError as reason:
        skipped = str(reason)
        for form in ("svg", "png", "csv"):
            (folder / f"{analysis.name}.{form}").unlink(missing_ok=True)
    result = AnalysisResult(
        analysis.name,
        analysis.title,
        analysis.question,
        sentence,
        skipped,
        inputs,
        round(time.perf_counter() - started, 1),
        datetime.now(UTC).isoformat(timespec="seconds"),
        commit(),
        dict(describe_machine(choose_device(study.config.training.device))),
    )
    write_text(folder / f"{analysis.name}.json", json.dumps(asdict(result), indent=1))
    return result


def _stored(folder: Path, analysis: Analysis, inputs: str) -> AnalysisResult | None:
    try:
        result = AnalysisResult(**json.loads((folder / f"{analysis.name}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    whole = result.skipped or all((folder / f"{analysis.name}.{form}").is_file() for form in ("svg", "png", "csv"))
    return result if result.inputs == inputs and whole else None


def _inputs(study: Study, analysis: Analysis) -> str:
    """Digest of what determines a result: the runs, and the syntax of what analyses share and of this one's file."""
    runs = {
        row.name: {str(seed): [run.record.id for run in runs] for seed, runs in row.runs.items()}
        for row in study.rows.values()
    }
    digest = hashlib.sha256(json.dumps([runs, study.subject, study.table]).encode())
    package = Path(__file__).parents[1]
    for source in [*(package / name for name in _SHARED), Path(inspect.getfile(analysis.compute))]:
        digest.update(ast.dump(ast.parse(source.read_text(encoding="utf-8"))).encode())
    return digest.hexdigest()[:12]
