"""`hierarchy.yaml`: the label hierarchy that stands beside folders of images named by label id."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from ..base.errors import DataError
from ..base.files import write_text
from ..base.section import Section, Whole
from ..base.text import shown
from ..base.yaml_files import YamlError, read_yaml, to_yaml
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


class StatedHierarchy(Section):
    """A named data set's label hierarchy, as the file states it. A label's id is its position among the names."""

    name: _Name
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
    """Read `hierarchy.yaml` in `folder`, or give None if there is none.

    Raises DataError, naming the place in it, if it cannot be read, is malformed, or contradicts itself.
    """
    path = folder / FILE_NAME
    try:
        stated = StatedHierarchy.model_validate(read_yaml(path))
        stated.hierarchy  # noqa: B018, it checks
    except (FileNotFoundError, NotADirectoryError):
        return None
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


def write_hierarchy(folder: Path, stated: StatedHierarchy) -> None:
    """Write `hierarchy.yaml` into `folder`, whole. Raises OutputError where it cannot be written."""
    write_text(folder / FILE_NAME, to_yaml(stated.model_dump(mode="json")))
