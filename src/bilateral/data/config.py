"""Which data set, from where, and how it is split."""

from typing import Annotated, Any

from pydantic import Field

from ..base.section import Section, Text, UserPath, Whole

_MANY = 10**9


class ShapesConfig(Section):
    """The embedded data set's size and randomness."""

    seed: Annotated[Whole, Field(ge=0)] = 0
    train_per_class: Annotated[Whole, Field(ge=2, le=_MANY)] = 200
    test_per_class: Annotated[Whole, Field(ge=1, le=_MANY)] = 50


class DataConfig(Section):
    """A data source and its settings. A setting that the named source does not read is an error."""

    name: Text = "shapes"
    """shapes | navon | cifar100 | folders | table | huggingface, or `package.module:function` for one of your own."""
    root: UserPath | None = None
    """The folder, the table or CIFAR-100's tar.gz that holds the data."""
    download: bool = False
    """Fetch CIFAR-100 into `root`, or a data set from the Hub, if it is not there."""
    train_dir: UserPath | None = None
    val_dir: UserPath | None = None
    test_dir: UserPath | None = None
    raw_data_dir: UserPath | None = None
    """Folder of CIFAR-100's raw files: names and coarse labels for folders of images that lack them."""
    image_size: Annotated[Whole, Field(ge=8, le=1024)] | None = None
    """Pixels a side: the shorter side is scaled to it, the middle cut out. None keeps one size, which all must have."""
    num_workers: Annotated[Whole, Field(ge=0, le=256)] = 4
    """Threads that decode image files."""
    shapes: ShapesConfig = ShapesConfig()
    options: dict[str, Any] = Field(default={})
    """The settings that the source alone has: its `Options`."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    split_seed: Annotated[Whole, Field(ge=-(2**63), lt=2**64)] = 0
    """Chooses the held-out validation images, whatever seed a run has."""

    def changed_fields(self) -> set[str]:
        """The settings that differ from their defaults, but for the name."""
        return self.model_dump(exclude_defaults=True).keys() - {"name"}
