"""Does analyses, each at most once for the same runs and the same code, and writes what comes of them."""

import ast
import hashlib
import inspect
import json
import logging
import time
import traceback
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
from pydantic import Field, TypeAdapter

from ..base.errors import AnalysesFailedError, BilateralError, OutputError
from ..base.files import file_digest, read_bytes, to_json, whole_file, write_text
from ..base.own_code import describe
from ..base.text import shown
from ..runs.runner import commit
from ..training.device import choose_device, describe_machine
from .base import Analysis
from .chance import conclusion
from .study import NotApplicableError, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)
PNG_DPI = 150
FORMS = ("csv", "svg", "png")
"""Endings of the files that an analysis leaves beside NAME.json."""
_SHARED = (
    *(f"analysis/{each}.py" for each in ("activations", "gradcam", "heads", "opening", "outcomes", "probes")),
    *(f"analysis/{each}.py" for each in ("chance", "global_local", "specialisation", "study", "style")),
    "base/statistics.py",
    *("data/corruptions.py", "experiments/measures.py", "runs/predictions.py"),
)
"""The code that analyses share."""
_MOST_RECORD = 2**20
_LONGEST_REASON = 400


@dataclass(frozen=True)
class AnalysisResult:
    """What came of an analysis: its sentence, or why there is none, and where that came from.

    at_chance: the sentence only says that what it rests on is at chance. skipped: why it says nothing of these runs.
    failed: what went wrong, unforeseen; NAME.error.log has more. text_columns: of the table. digests: SHA-256 of
    NAME.csv, NAME.svg and NAME.png by ending, beside which NAME.json holds this.
    """

    name: str
    title: str
    question: str
    sentence: str
    skipped: str
    inputs: str
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    finished: str
    commit: str | None
    machine: dict[str, str | int]
    failed: str = ""
    at_chance: bool = False
    text_columns: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Why it has no sentence, as a clause; empty if it has one."""
        return f"it failed ({self.failed})" if self.failed else self.skipped


_RECORD = TypeAdapter(AnalysisResult)


def analyse(study: Study, analyses: Iterable[Analysis], folder: Path) -> list[AnalysisResult]:
    """Do every analysis that `folder` does not have yet of these runs, and write it there.

    One that fails in a way that was not foreseen is told in its result, and keeps no other from being done.
    """
    results = []
    for analysis in analyses:
        inputs = _inputs(study, analysis)
        result = _stored(folder, analysis, inputs)
        if result is None:
            result = _do(study, analysis, folder, inputs)
            level = logging.WARNING if result.failed else logging.INFO
            log.log(level, "%s: %s (%.1f s)", analysis.name, result.reason or "done", result.seconds)
        results.append(result)
    return results


def check_none_failed(results: Iterable[AnalysisResult], folder: Path) -> None:
    """Raise AnalysesFailedError that names those which failed."""
    failed = [result.name for result in results if result.failed]
    if failed:
        logs = " and ".join(str(error_log(folder, name)) for name in failed)
        raise AnalysesFailedError(f"{', '.join(failed)} failed, while all else was done; see {logs}")


def error_log(folder: Path, name: str) -> Path:
    """Where the traceback of an analysis that failed is."""
    return folder / f"{name}.error.log"


def read_table(folder: Path, result: AnalysisResult) -> pd.DataFrame:
    """Read the table that an analysis left; what was text is text, be it called "nan", "007" or "True".

    Raises OutputError for what is no table.
    """
    path = folder / f"{result.name}.csv"
    try:
        numbers = [column for column in pd.read_csv(path, nrows=0).columns if column not in result.text_columns]
        absent = {column: [""] for column in numbers}
        return pd.read_csv(path, dtype=dict.fromkeys(result.text_columns, str), keep_default_na=False, na_values=absent)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read {path}: {error}; delete that file, then run this again") from error


def _do(study: Study, analysis: Analysis, folder: Path, inputs: str) -> AnalysisResult:
    started = time.perf_counter()
    found: dict[str, Any] = {"sentence": "", "skipped": "", "failed": ""}
    try:
        table = _safe(analysis.compute(study))
        sentence, at_chance = conclusion(study, analysis, table)
        _write(analysis, table, folder, study.rows)
        digests = {form: file_digest(folder / f"{analysis.name}.{form}") for form in FORMS}
        found |= {
            "sentence": shown(sentence),
            "at_chance": at_chance,
            "text_columns": _text_columns(table),
            "digests": digests,
        }
    except NotApplicableError as reason:
        found["skipped"] = shown(str(reason))
    except BilateralError:
        raise
    except (Exception, SystemExit) as error:
        found["failed"] = shown(describe(error))[:_LONGEST_REASON]
        write_text(error_log(folder, analysis.name), shown(traceback.format_exc(), lines=True))
    if found["skipped"] or found["failed"]:
        for form in FORMS:
            (folder / f"{analysis.name}.{form}").unlink(missing_ok=True)
    if not found["failed"]:
        error_log(folder, analysis.name).unlink(missing_ok=True)
    result = AnalysisResult(
        name=analysis.name,
        title=shown(str(analysis.title)),
        question=shown(str(analysis.question)),
        inputs=inputs,
        seconds=round(time.perf_counter() - started, 1),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        machine=dict(describe_machine(choose_device(study.config.training.device))),
        **found,
    )
    write_text(folder / f"{analysis.name}.json", to_json(asdict(result), indent=1))
    return result


def _write(analysis: Analysis, table: pd.DataFrame, folder: Path, rows: Iterable[str]) -> None:
    from . import style  # with matplotlib, which takes a second to import

    text = "".join("".join(table[column].dropna().unique()) for column in _text_columns(table))
    with style.styled(text, rows):
        figure = analysis.draw(table)
        # Such as labels of an analysis of the user's own; but for what is written at ticks.
        own = "".join(label.get_text() for label in figure.findobj(style.Text))
    with style.styled(text + own, rows):
        if style.families(text + own) != style.families(text):
            figure = analysis.draw(table)
        save(figure, folder, analysis.name)
    with whole_file(folder / f"{analysis.name}.csv") as temporary:
        table.to_csv(temporary, index=False)


def save(figure: "Figure", folder: Path, name: str) -> None:
    """Write a figure, its texts made plain, as NAME.svg and NAME.png."""
    from .style import tidy

    tidy(figure)
    for form, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": PNG_DPI})):
        with whole_file(folder / f"{name}.{form}") as temporary:
            figure.savefig(temporary, format=form, **options)


def _safe(table: pd.DataFrame) -> pd.DataFrame:
    """The same table without control characters in its texts, and with numbers as its file gives them back."""
    safe = table.rename(columns=lambda name: shown(str(name)))
    for place in range(safe.shape[1]):
        column = safe.iloc[:, place]
        if column.dtype == "float32":
            safe.isetitem(place, column.astype("float64"))
        if not pd.api.types.is_numeric_dtype(column):
            changed = column.map(lambda value: shown(value) if isinstance(value, str) else value)
            if not changed.equals(column):
                safe.isetitem(place, changed)
    return safe


def _text_columns(table: pd.DataFrame) -> list[str]:
    return [column for column in table.columns if pd.api.types.infer_dtype(table[column]) == "string"]


def _stored(folder: Path, analysis: Analysis, inputs: str) -> AnalysisResult | None:
    """What was computed before; None where it is of other runs or code, failed, or was changed by somebody since."""
    try:
        result = _RECORD.validate_json(read_bytes(folder / f"{analysis.name}.json", _MOST_RECORD), strict=True)
        if (result.name, result.inputs, result.failed) != (analysis.name, inputs, ""):
            return None
        forms = () if result.skipped else FORMS
        if any(file_digest(folder / f"{analysis.name}.{form}") != result.digests[form] for form in forms):
            return None
    except (OSError, ValueError, KeyError):
        return None
    return result


def _inputs(study: Study, analysis: Analysis) -> str:
    """Digest of what determines a result: the runs, and the syntax of what analyses share and of this one's file."""
    runs = {
        row.name: {str(seed): [run.record.id for run in runs] for seed, runs in row.runs.items()}
        for row in study.rows.values()
    }
    about = f"{analysis.title} {analysis.question} {analysis.rests_on}"
    digest = hashlib.sha256(json.dumps([runs, study.subject, study.table, about]).encode())
    package = Path(__file__).parents[1]
    for source in [*(package / name for name in _SHARED), Path(inspect.getfile(analysis.compute))]:
        digest.update(_syntax(source))
    return digest.hexdigest()[:12]


def _syntax(source: Path) -> bytes:
    """What a file of Python says, without its comments; of another file, its bytes."""
    try:
        content = source.read_bytes()
        return ast.dump(ast.parse(content)).encode()
    except OSError:  # code that was given to the interpreter, of which there is no file
        return str(source).encode()
    except (SyntaxError, ValueError):
        return content
