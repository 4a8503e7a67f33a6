"""`hierarchy.yaml`: the label hierarchy that stands beside folders of images named by label id."""

from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from ..base.errors import DataError
from ..base.files import write_text
from ..base.section import Section
from .hierarchy import LabelHierarchy

FILE_NAME = "hierarchy.yaml"


class StatedHierarchy(Section):
    """A named data set's label hierarchy, as the file states it. A label's id is its position among the names."""

    name: str
    """Name of the data set."""
    coarse_names: tuple[str, ...]
    fine_names: tuple[str, ...]
    coarse_of_fine: tuple[int, ...]
    """Id of the coarse label of each fine one."""
    images: dict[str, int] = Field(default_factory=dict)
    """How many images each split has, so that a missing one is noticed; no entry: not checked."""

    @property
    def hierarchy(self) -> LabelHierarchy:
        """The label hierarchy. Raises DataError if it contradicts itself."""
        return LabelHierarchy(self.fine_names, self.coarse_names, self.coarse_of_fine)


def read_hierarchy(folder: Path) -> StatedHierarchy | None:
    """Read `hierarchy.yaml` in `folder`, or give None if there is none. Raises DataError if it is malformed."""
    path = folder / FILE_NAME
    try:
        return StatedHierarchy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"{path}: {place}: {first['msg']}") from error
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise DataError(f"cannot read {path}: {' '.join(str(error).split())}") from error


def write_hierarchy(folder: Path, stated: StatedHierarchy) -> None:
    """Write `hierarchy.yaml` into `folder`, whole. Raises OutputError where it cannot be written."""
    text = yaml.safe_dump(stated.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(folder / FILE_NAME, text)
