"""What came of an experiment's seeds, one file a seed, from which the table is made again without the networks.

So seeds can be done on several machines, or one after the other, and be put together.
"""

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..base.errors import OutputError
from ..base.files import read_json, to_json, write_text
from ..data.images import HierarchicalDataset
from ..runs.config import Config
from ..runs.experiment_config import Accuracy
from .measures import MEASURES
from .results import RowResult, SeedResult, Table

MOST_BYTES = 2**26
MOST_IMAGES = 2**24
_NAME = "seed-{}.json"
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _RowRecord(_Part):
    title: str
    costs: dict[str, Number]
    kinds: list[str]
    measures: dict[Annotated[str, Field(pattern=rf"^(?:{'|'.join(MEASURES)})$")], Number]
    correct: dict[Accuracy, str]
    """Base64 of one bit an image, eight in a byte."""
    training_s: Number
    rise: Number


class SeedRecord(_Part):
    """A seed of an experiment: what came of each row, on which data, by which code."""

    seed: Annotated[int, Field(ge=0)]
    data: str
    fingerprint: str
    protocol: Literal["clean", "original"]
    images: Annotated[int, Field(ge=1, le=MOST_IMAGES)]
    commit: str | None
    rows: dict[str, _RowRecord]

    @model_validator(mode="after")
    def _check_bits(self) -> "SeedRecord":
        for row in self.rows.values():
            for text in row.correct.values():
                _unpacked(text, self.images)
        return self

    def check(self, dataset: HierarchicalDataset, config: Config) -> None:
        """Raise OutputError if this is of other images, or of another protocol."""
        if (self.fingerprint, self.images) != (dataset.fingerprint, len(dataset.test)):
            raise OutputError(f"the record of seed {self.seed} is of the data set {self.data}, whose images are others")
        if self.protocol != config.protocol:
            raise OutputError(f"the record of seed {self.seed} is of protocol {self.protocol}, not {config.protocol}")


def write_seeds(folder: Path, table: Table, dataset: HierarchicalDataset, config: Config, commit: str | None) -> None:
    """Write a file for every seed of the table, seed-N.json."""
    for seed in sorted({seed for row in table.rows for seed in row.seeds}):
        rows = {row.name: _record(row, row.seeds[seed]) for row in table.rows if seed in row.seeds}
        record = SeedRecord(
            seed=seed,
            data=dataset.name,
            fingerprint=dataset.fingerprint,
            protocol=config.protocol,
            images=len(dataset.test),
            commit=commit,
            rows=rows,
        )
        write_text(folder / _NAME.format(seed), to_json(record.model_dump(mode="json"), indent=1))


def _record(row: RowResult, found: SeedResult) -> _RowRecord:
    bits = {name: np.packbits(found.correct[name]) for name in get_args(Accuracy) if name in found.correct}
    correct = {name: base64.b64encode(packed.tobytes()).decode() for name, packed in bits.items()}
    own = {name: getattr(row, name) for name in ("title", "costs", "kinds")}
    return _RowRecord(
        **own, measures=dict(found.measures), correct=correct, training_s=found.training_s, rise=found.rise
    )


def read_seeds(folder: Path) -> list[SeedRecord]:
    """Read the files of a folder. Raises OutputError where there are none, or one is damaged."""
    paths = sorted(folder.glob(_NAME.format("*")))
    if not paths:
        raise OutputError(
            f"{folder} holds no results of seeds ({_NAME.format('N')}); give an experiment's folder `seeds`"
        )
    remedy = "run the experiment that made it again"
    records: list[SeedRecord] = [read_json(path, SeedRecord, remedy, MOST_BYTES) for path in paths]
    for path, record in zip(paths, records):
        if path.name != _NAME.format(record.seed):
            raise OutputError(f"{path} is of seed {record.seed}; give it that name again")
    return records


def _unpacked(text: str, images: int) -> npt.NDArray[np.bool_]:
    packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if len(packed) != -(-images // 8):
        raise ValueError(f"its bits are not those of {images} images")
    return np.unpackbits(packed, count=images).astype(bool)


def join(rows: Sequence[RowResult], given: Sequence[SeedRecord]) -> list[RowResult]:
    """Put recorded seeds to those that were done here. Raises OutputError for seeds that other networks gave."""
    joined = []
    for row in rows:
        seeds, kinds = dict(row.seeds), row.kinds if row.seeds else None
        for record in given:
            if row.name not in record.rows:
                continue
            own = record.rows[row.name]
            if kinds is not None and own.kinds != kinds:
                raise OutputError(
                    f"seed {record.seed} of the row {row.name} was made with other settings or other code than the "
                    "other seeds; do it again, or leave it out of `seeds`"
                )
            kinds = own.kinds
            correct: dict[str, npt.NDArray[np.bool_]] = {
                name: _unpacked(text, record.images) for name, text in own.correct.items()
            }
            seeds[record.seed] = SeedResult(own.measures, correct, own.training_s, own.rise)
        joined.append(replace(row, kinds=kinds or row.kinds, seeds=dict(sorted(seeds.items()))))
    return joined
