"""Compound figures: a large form made of copies of a small one (Navon 1977, 10.1016/0010-0285(77)90012-3).

Every identity comes on the global level (the large form) with every identity on the local one (the small forms), each
pair as often, so that neither tells of the other. The fine label is the pair, the coarse label one identity of it.
A figure is *congruent* if both are the same. All identities have as many small forms, on as much area, and each is its
own mirror image. All else is nuisance, drawn alike for every class: place, colours, noise.

    data: {name: navon, options: {level: global, salience: 0.25}}
"""

import math
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from ..base.memory import check_memory
from ..base.section import Section, Whole
from .config import DataConfig
from .hierarchy import LabelHierarchy
from .images import HierarchicalDataset, HierarchicalImages, channel_statistics

Array = NDArray[np.floating]
Line = tuple[float, float, float, float]
Level = Literal["global", "local"]

IDENTITIES: dict[str, tuple[Line, Line]] = {
    "T": ((-1, -1, 1, -1), (0, -1, 0, 1)),
    "turned T": ((-1, 1, 1, 1), (0, -1, 0, 1)),
    "plus": ((-1, 0, 1, 0), (0, -1, 0, 1)),
    "X": ((-1, -1, 1, 1), (-1, 1, 1, -1)),
    "V": ((-1, -1, 0, 1), (1, -1, 0, 1)),
    "turned V": ((-1, 1, 0, -1), (1, 1, 0, -1)),
}
"""Two lines each, from x, y to x, y; y goes down. On a grid of n x n places each covers 2 n - 1."""

_FEWEST, _MANY = 5, 10**9
_LINE = 0.55  # half the width of the small forms' lines, in pixels
_TRAIN, _TEST = 0, 1
_BYTES_AT_WORK = 40  # for each value of the images of one class


class Options(Section):
    """Sizes are in pixels, colours on the scale 0 to 1."""

    level: Level = "global"
    """Whose identity is the coarse label."""
    image_size: Annotated[Whole, Field(ge=16, le=1024)] = 32
    large: Annotated[Whole, Field(ge=1)] = 29
    """Height and width of the large form."""
    small: Annotated[Whole, Field(ge=5)] = 5
    """Height and width of the small forms, which are sharpest in an odd number of pixels."""
    spacing: Annotated[Whole, Field(ge=0)] = 1
    """The least distance between small forms. As many as fit, in odd number, stand along a side of the large one."""
    jitter: Annotated[Whole, Field(ge=0)] = 1
    """How far from the middle the large form may stand, down and across; whole pixels are drawn."""
    salience: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of the global level: how far the large form, filled, stands out from the background, as a share of `contrast`.
    The small forms stand out from the filling by the rest, 1 - salience. 0: there is no filling, as in Navon 1977."""
    contrast: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Difference between the small forms and the background, in every channel."""
    colours: Literal["random", "grey"] = "random"
    """random: each channel of the figure is lighter or darker by chance; grey: all three are the same."""
    noise: Annotated[float, Field(ge=0, le=1)] = 0.08
    """Standard deviation of what is added to every value by chance."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    train_per_class: Annotated[Whole, Field(ge=2, le=_MANY)] = 100
    """Images of each of the 36 pairs."""
    test_per_class: Annotated[Whole, Field(ge=1, le=_MANY)] = 25

    @model_validator(mode="after")
    def _check_sizes(self) -> "Options":
        least = _FEWEST * self.small + (_FEWEST - 1) * self.spacing
        if self.large < least:
            raise ValueError(
                f"small forms of {self.small} pixels, {self.spacing} apart, do not fit {_FEWEST} times into a large "
                f"form of {self.large}: make `large` {least} or more, or `small` or `spacing` smaller"
            )
        if self.large + 2 * self.jitter > self.image_size:
            raise ValueError(
                f"a large form of {self.large} pixels, {self.jitter} off the middle, does not fit into an image of "
                f"{self.image_size}: make `image_size` {self.large + 2 * self.jitter} or more, or `large` or `jitter` "
                "smaller"
            )
        return self

    @property
    def places(self) -> int:
        """How many small forms stand along a side of the large one; an odd number."""
        fit = (self.large + self.spacing) // (self.small + self.spacing)
        return fit - (fit + 1) % 2


def load(config: DataConfig) -> HierarchicalDataset:
    """Draw the data set that `config.options` (`Options`) describes: RGB images in the order of their fine labels.

    The same settings give the same bytes every time. What is drawn by chance for an image depends on the seed, its
    split, its class and its place within the class alone. So the two splits share no stream of random numbers, and a
    larger data set of the same seed begins with the smaller one's images.

    Raises OutOfMemoryError for more images than there is room for.

    >>> few = {"level": "local", "train_per_class": 2, "test_per_class": 1}
    >>> dataset = load(DataConfig(name="navon", options=few))
    >>> tuple(dataset.train.images.shape), dataset.hierarchy.coarse_names[:2]
    ((72, 3, 32, 32), ('small T', 'small turned T'))
    """
    options = Options.model_validate(dict(config.options))
    values = 3 * options.image_size**2
    counts = options.train_per_class, options.test_per_class
    check_memory(
        len(IDENTITIES) ** 2 * sum(counts) * values + max(counts) * values * _BYTES_AT_WORK,
        f"drawing {sum(counts):,} images of each of {len(IDENTITIES) ** 2} compound figures",
        "lower data.options.train_per_class or test_per_class",
    )
    train, test = (_draw_split(options, split, count) for split, count in zip((_TRAIN, _TEST), counts))
    mean, std = channel_statistics(train.images)
    return HierarchicalDataset("navon", hierarchy(options.level), train, test, mean, std)


def hierarchy(level: Level) -> LabelHierarchy:
    """The pairs, and above them the identities on one level.

    >>> hierarchy("local").fine_names[1], hierarchy("local").coarse_names[1]
    ('large T, small turned T', 'small turned T')
    """
    count = len(IDENTITIES)
    return LabelHierarchy(
        fine_names=tuple(f"large {large}, small {small}" for large in IDENTITIES for small in IDENTITIES),
        coarse_names=tuple(f"{'large' if level == 'global' else 'small'} {name}" for name in IDENTITIES),
        coarse_of_fine=tuple(divmod(fine, count)[level == "local"] for fine in range(count**2)),
    )


def identities_of(fine: Tensor) -> dict[Level, Tensor]:
    """The identity on each level of fine labels (any shape, int64), by number; a congruent figure has one twice.

    >>> identities_of(torch.tensor([0, 1, 7]))
    {'global': tensor([0, 0, 1]), 'local': tensor([0, 1, 1])}
    """
    return {"global": fine // len(IDENTITIES), "local": fine % len(IDENTITIES)}


def _draw_split(options: Options, split: int, per_class: int) -> HierarchicalImages:
    figures = [_figure(large, small, options) for large in IDENTITIES.values() for small in IDENTITIES.values()]
    size = options.image_size
    images = np.empty((len(figures), per_class, 3, size, size), dtype=np.uint8)
    for label, number in np.ndindex(len(figures), per_class):
        chance = np.random.default_rng((options.seed, split, label, number))
        images[label, number] = _draw(figures[label], options, chance)
    fine = torch.arange(len(figures)).repeat_interleave(per_class)
    return HierarchicalImages(torch.from_numpy(images).flatten(0, 1), fine, hierarchy(options.level).roll_up(fine))


# Only exactly rounded operations work on pixels, for the same bytes on any machine.


def _draw(figure: Array, options: Options, chance: np.random.Generator) -> NDArray[np.uint8]:
    """Put a figure (large, large) into an image (3, H, W)."""
    size, large, jitter = options.image_size, options.large, options.jitter
    top, left = (size - large) // 2 - jitter + np.floor((2 * jitter + 1) * chance.random(2)).astype(int)
    share = np.zeros((size, size), dtype=np.float32)
    share[top : top + large, left : left + large] = figure
    channels = 3 if options.colours == "random" else 1
    darker = chance.random((channels, 1, 1), dtype=np.float32) < 0.5
    ground = (1 - options.contrast) * chance.random((channels, 1, 1), dtype=np.float32) + options.contrast * darker
    image = ground + options.contrast * np.where(darker, -share, share)
    grain = np.subtract(*chance.random((2, 3, size, size), dtype=np.float32))  # its variance is 1/6
    return np.rint(255 * np.clip(image + math.sqrt(6) * options.noise * grain, 0, 1)).astype(np.uint8)


def _figure(large: tuple[Line, ...], small: tuple[Line, ...], options: Options) -> Array:
    """How much of the figure's colour every pixel of the large form's square has, 0 to 1: (large, large)."""
    across = np.arange(options.large) + 0.5
    pitch = (options.large - options.small) / (options.places - 1)
    lines, filling = np.zeros((2, options.large, options.large))
    for row, column in zip(*np.nonzero(_grid(large, options.places))):
        x, y = (across - (options.small / 2 + pitch * place) for place in (column, row))
        inside = [np.clip(0.5 + pitch / 2 - np.abs(offset), 0, 1) for offset in (x, y)]
        filling += inside[0][None, :] * inside[1][:, None]
        lines = np.maximum(lines, _cover(small, x[None, :], y[:, None], options.small / 2 - _LINE))
    filling = options.salience * np.minimum(filling, 1)
    return filling + (1 - filling) * lines


def _grid(form: tuple[Line, ...], places: int) -> NDArray[np.bool_]:
    """Which places (rows, columns) of a grid of so many a side a form covers: the nearest in every row or column."""
    found = np.zeros((places, places), dtype=bool)
    half = (places - 1) / 2
    for x1, y1, x2, y2 in form:
        # Rounded away from the middle: the two lines of a form share one place alone.
        columns, rows = (
            half + np.sign(way) * np.floor(np.abs(way) + 0.5)
            for way in (half * first + (last - first) * np.arange(places) / 2 for first, last in ((x1, x2), (y1, y2)))
        )
        found[rows.astype(int), columns.astype(int)] = True
    return found


def _cover(form: tuple[Line, ...], x: Array, y: Array, radius: float) -> Array:
    """How much of a pixel at x, y (pixels from the form's middle) the lines of a form of this radius cover."""
    distances = []
    for x1, y1, x2, y2 in form:
        ahead, down = radius * (x2 - x1), radius * (y2 - y1)
        x_from, y_from = x - radius * x1, y - radius * y1
        along = np.clip((x_from * ahead + y_from * down) / (ahead * ahead + down * down), 0, 1)
        distances.append(np.sqrt((x_from - along * ahead) ** 2 + (y_from - along * down) ** 2))
    return np.clip(0.5 + _LINE - np.min(distances, axis=0), 0, 1)
