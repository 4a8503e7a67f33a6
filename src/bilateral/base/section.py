"""The base of every config section: strict about keys, frozen once read."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

UserPath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path as people write it: `~` is their home."""


class Section(BaseModel):
    """A group of settings. Unknown keys are errors; a section never changes after it was checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, coerce_numbers_to_str=True)
