"""What an experiment or a system wrote of itself, read from files that anybody may have changed since."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from ..base.errors import OutputError
from ..base.files import read_text
from ..experiments.measures import MEASURES

Kept = TypeVar("Kept")
Number = Annotated[float, Field(allow_inf_nan=False)]
Seed = Annotated[str, Field(pattern=r"^(?:0|[1-9][0-9]{0,17})$")]
Level = Literal["fine", "coarse"]
Measure = Annotated[str, Field(pattern=rf"^(?:{'|'.join(MEASURES)})$")]


class _Part(BaseModel):
    """A part of a file, in which more may stand than is read."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Provenance(_Part):
    """Of an experiment's provenance.json: its config, and by row and seed the folders of its runs."""

    config: dict[str, Any]
    runs: dict[str, dict[Seed, Annotated[list[str], Field(min_length=1)]]]


class _Row(_Part):
    name: str
    title: str
    training_pflops: Annotated[Number, Field(ge=0)] | None = None
    by_seed: dict[Seed, dict[Measure, Number]] = {}


Interval = Annotated[list[Number], Field(min_length=2, max_length=2)]


class _Difference(_Part):
    n: int
    mean: Number
    ci95_seeds: Interval | None
    ci95: Interval
    p: Number | None
    p_equivalent: Number | None


class _Contrast(_Part):
    row: str
    other: str
    measure: Measure
    difference: _Difference
    p_holm: Number | None
    p_equivalent_holm: Number | None
    verdict: str


class _Gain(_Part):
    row: str
    title: str
    seed: int
    once_pct: dict[Level, Number]
    twice_pct: dict[Level, Number]

    @model_validator(mode="after")
    def _check_levels(self) -> "_Gain":
        if self.once_pct.keys() != self.twice_pct.keys():
            raise ValueError("its accuracies are not of the same levels once and twice")
        return self


class Table(_Part):
    """Of an experiment's table.json, what analyses and the page read; older ones have no contrasts."""

    rows: list[_Row]
    answer: str = ""
    doubts: list[str] = []
    contrasts: list[_Contrast] = []
    gains: list[_Gain] = []


class _SystemRun(_Part):
    row: str
    folder: str


class SystemTable(_Part):
    """Of a system's table.json, the folders of its runs."""

    runs: list[_SystemRun] = []


def read_json(path: Path, kind: type[Kept]) -> dict[str, Any]:
    """Read a JSON object that is `kind`. Raises OutputError that says where it is not."""
    try:
        found = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it is nested too deeply"
        raise OutputError(f"cannot read {path}: {reason}; run the command that made it again") from error
    return check(found, kind, str(path), "run the command that made it again")


def check(found: Any, kind: type[Kept], source: str, remedy: str) -> dict[str, Any]:
    """Give what was found, if it is `kind`. Raises OutputError that says where it is not."""
    try:
        TypeAdapter(kind).validate_json(json.dumps(found))
    except (ValidationError, TypeError, ValueError, RecursionError) as error:
        raise OutputError(f"cannot read {source}: {_reason(error)}; {remedy}") from error
    return dict(found)


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors(include_input=False)[0]
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])
