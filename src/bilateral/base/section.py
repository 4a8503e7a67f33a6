"""The base of every config section: strict about keys, frozen once read."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings. Unknown keys are errors; a section never changes after it was checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
