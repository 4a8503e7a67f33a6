"""The settings of an experiment: its rows, their variants, and the contrasts on which its verdict rests."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from ..base.section import Section, Text, Whole
from ..training.config import TrainingConfig

Accuracy = Literal["fine_pct", "coarse_pct", "joint_fine_pct", "joint_coarse_pct", "joint_both_pct", "rollup_pct"]
"""The measures that contrasts may be of."""
CHANGEABLE = ("model", "training", "pretraining", "checkpoints", "experiment.end_to_end", "experiment.fine_tuning")
"""The sections that a variant may change. All rows share the rest, such as the data."""


def _refuse_repeated(key: str, values: Sequence[Any]) -> None:
    repeated = next((value for value in values if values.count(value) > 1), None)
    if repeated is not None:
        raise ValueError(f"{key} lists {repeated} twice")


class ContrastsConfig(Section):
    """The family of contrasts on which the experiment's verdict rests: one row against others, declared beforehand."""

    row: Text = "specialised"
    """The row of which the question is asked."""
    against: list[Text] = Field(
        default=["unilateral_long", "unilateral_wide", "nonspecialised", "two_left", "ensemble_2"]
    )
    """The rows that it is compared with; none: nothing is asked."""
    measures: list[Accuracy] = Field(default=["joint_fine_pct", "joint_coarse_pct"], min_length=1)
    """What is compared: accuracies, by their column."""
    margin: Annotated[float, Field(gt=0, lt=100)] = 0.5
    """Points within which two rows count as equally good."""

    @property
    def rows(self) -> list[str]:
        """All rows of the family."""
        return [self.row, *self.against] if self.against else []

    @model_validator(mode="after")
    def _check_each_once(self) -> "ContrastsConfig":
        for key in ("against", "measures"):
            _refuse_repeated(key, getattr(self, key))
        if self.row in self.against:
            raise ValueError(f"against lists {self.row}, the row itself")
        return self


class VariantConfig(Section):
    """A row that is another one with settings changed, such as `{from: specialised, set: {model.left.width: 0.5}}`."""

    model_config = ConfigDict(serialize_by_alias=True)

    title: Text | None = None
    """What the table calls it; {from} stands for what it calls the published row. None: that, and what is changed."""
    base: Text = Field(alias="from")
    """The row that it is made from, which may be a variant."""
    set: dict[Text, Any] = Field(default={})
    """What is changed, by dotted keys of the config."""
    sweep: dict[Text, Annotated[list[Any], Field(min_length=1)]] = Field(default={})
    """Lists of values, by dotted keys: one row for every combination of them, NAME_1, NAME_2, ..."""

    @field_validator("set", "sweep")
    @classmethod
    def _check_keys(cls, given: dict[str, Any]) -> dict[str, Any]:
        for key in given:
            if not all(key.split(".")) or not any(f"{key}.".startswith(f"{each}.") for each in CHANGEABLE):
                raise ValueError(f"a variant cannot change {key}; it can change settings of {', '.join(CHANGEABLE)}")
        return given

    @model_validator(mode="after")
    def _check_something_changes(self) -> "VariantConfig":
        if not self.model_fields_set & {"set", "sweep"}:
            raise ValueError("it changes nothing; say by `set` or `sweep` what it changes")
        if repeated := set(self.set) & set(self.sweep):
            raise ValueError(f"{repeated.pop()} stands in `set` and in `sweep`")
        return self


class ExperimentConfig(Section):
    """What `bilateral experiment` does beside the system: the rows of its table, and how their networks are trained."""

    rows: Annotated[list[Text], Field(min_length=1)] | None = None
    """The table's rows, in order, published ones and variants. None: all."""
    without: list[Text] = Field(default=[])
    """Rows to leave out."""
    variants: dict[Text, VariantConfig] = Field(default={})
    """Rows that are others with settings changed, by name."""
    titles: dict[Text, Text] = Field(default={})
    """What the table calls rows, by name, where that is not as published."""
    ensemble_sizes: list[Annotated[Whole, Field(ge=2)]] = Field(default=[2], min_length=1)
    """How many two-headed networks make an ensemble; one row for each number and kind of mean."""
    contrasts: ContrastsConfig = ContrastsConfig()
    end_to_end: TrainingConfig
    """Of the networks that are trained whole, from fresh weights. What it does not set is as in `training`."""
    fine_tuning: TrainingConfig
    """Of the specialised network, end to end, after its heads. What it does not set is as in `end_to_end`."""

    @model_validator(mode="before")
    @classmethod
    def _read_old_key(cls, given: Any) -> Any:
        """Take `references`, as configs had it until version 0.5, for the rows that `specialised` is compared with."""
        if not isinstance(given, dict) or "references" not in given:
            return given
        references, rest = given["references"], {key: value for key, value in given.items() if key != "references"}
        if not isinstance(references, list) or "contrasts" in rest:
            return rest if references is None else given
        return {**rest, "contrasts": {"against": [name for name in references if name != "specialised"]}}

    @model_validator(mode="after")
    def _check_names(self) -> "ExperimentConfig":
        for key in ("rows", "without", "ensemble_sizes"):
            _refuse_repeated(key, getattr(self, key) or [])
        for name in self.variants:
            if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name):
                raise ValueError(
                    f"variants: {name!r:.80} is no name of a row; begin with a letter, go on with a-z 0-9 _"
                )
        return self
