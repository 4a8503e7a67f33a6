"""`hierarchy.yaml`: which fine labels belong to which coarse one, for images that have fine labels alone.

In the short form, `animal: [cat, dog]`, or in full, with a name and counts of images, as `StatedHierarchy` says.
"""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from ..base.errors import DataError
from ..base.section import Section, Text, Whole
from ..base.text import shown
from ..base.yaml_files import YamlError, read_yaml
from .hierarchy import LabelHierarchy

FILE_NAME = "hierarchy.yaml"


def _name(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is no text to YAML; put names like this in quotes")
    return value


def _in_order(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list")  # a set has no order
    return tuple(value)


_Name = Annotated[str, BeforeValidator(_name)]
_Split = Annotated[str, Field(pattern="^(train|validation|test)$")]
_Names = Annotated[tuple[_Name, ...], BeforeValidator(_in_order)]
_SHORT = TypeAdapter(dict[Text, Annotated[list[Text], Field(min_length=1)]])


class StatedHierarchy(Section):
    """A named data set's label hierarchy, as the file states it. A label's id is its position among the names."""

    name: _Name = ""
    """Name of the data set."""
    coarse_names: _Names
    fine_names: _Names
    coarse_of_fine: Annotated[tuple[Whole, ...], BeforeValidator(_in_order)]
    """Id of the coarse label of each fine one."""
    images: dict[_Split, Annotated[Whole, Field(ge=0)]] = Field(default_factory=dict)
    """How many images each split has, so that a missing one is noticed; no entry: not checked."""

    @property
    def hierarchy(self) -> LabelHierarchy:
        """The label hierarchy. Raises DataError if it contradicts itself."""
        return LabelHierarchy(self.fine_names, self.coarse_names, self.coarse_of_fine)


def read_hierarchy(folder: Path) -> StatedHierarchy | None:
    """Read `hierarchy.yaml` in `folder`, or give None if there is none. Raises DataError as `read_hierarchy_file`."""
    path = folder / FILE_NAME
    return read_hierarchy_file(path) if os.path.lexists(path) else None


def read_hierarchy_file(path: Path) -> StatedHierarchy:
    """Read a file of either form.

    Raises DataError, naming the place in it, if it cannot be read, is malformed, or contradicts itself.
    """
    try:
        stated = _read(read_yaml(path))
        stated.hierarchy  # noqa: B018, it checks
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(shown(str(part)) for part in first["loc"]) or "the file"
        raise DataError(f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}") from error
    except YamlError as error:
        raise DataError(f"cannot read {path}: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return stated


def _read(values: Any) -> StatedHierarchy:
    if not isinstance(values, dict) or not values or {"coarse_names", "fine_names", "coarse_of_fine"} & values.keys():
        return StatedHierarchy.model_validate(values)
    members = _SHORT.validate_python(values, strict=True)
    return StatedHierarchy(
        coarse_names=tuple(members),
        fine_names=tuple(fine for each in members.values() for fine in each),
        coarse_of_fine=tuple(coarse for coarse, each in enumerate(members.values()) for _ in each),
    )
