"""The embedded data set: 32x32 pictures of one form each, drawn from a seed.

The coarse label is the form, seen from its silhouette (disc, star, ...). The fine label adds the detail that the form
is filled or edged with (striped star, outlined star, ...), which shows only from close by; every form comes with
every detail. All else is nuisance, drawn alike for every class: place, size, stretch, rotation, the three colours,
a patterned background, strokes behind and before the form, shading and noise. Mirroring changes no label.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from ..base.memory import check_memory
from .config import DataConfig
from .hierarchy import LabelHierarchy
from .images import HierarchicalDataset, HierarchicalImages, channel_statistics

Array = NDArray[np.floating]

SIZE = 32
"""Pixels a side."""

# What sets how hard the data set is. Lengths are in pixels, colours on the scale 0 to 1.
_RADIUS = (9.0, 12.5)
_CUT_OFF = 0.5  # how far a form may reach over the edge of the picture
_STRETCH = 1.2  # at most, along one axis of the form
_PERIOD = (3.1, 4.4)  # of the patterns
_COLOUR_TRIALS = 5  # more of them: stronger contrast
_BACKGROUND_CONTRAST = 0.3
_STROKES_BEHIND = 4
_STROKES_BEFORE = 2
_NOISE = (0.05, 0.16)

_TRAIN, _TEST = 0, 1
_BYTES_AT_WORK = 80_000
"""What drawing takes beyond the finished images, for each image of one class."""


def load(config: DataConfig) -> HierarchicalDataset:
    """Draw the data set that `config.shapes` describes: RGB images in the order of their fine labels.

    The same settings give the same bytes every time. An image depends on the seed, its split, its class and its
    place within the class alone: a larger data set of the same seed begins with the smaller one's images.

    Raises OutOfMemoryError for more images than there is room for.
    """
    shapes = config.shapes
    count = shapes.train_per_class + shapes.test_per_class
    check_memory(
        count * len(HIERARCHY.fine_names) * 3 * SIZE**2
        + max(shapes.train_per_class, shapes.test_per_class) * _BYTES_AT_WORK,
        f"drawing {count:,} images of each of {len(HIERARCHY.fine_names)} kinds of shape",
        "lower data.shapes.train_per_class or test_per_class",
    )
    train = _draw_split(shapes.seed, _TRAIN, shapes.train_per_class)
    test = _draw_split(shapes.seed, _TEST, shapes.test_per_class)
    mean, std = channel_statistics(train.images)
    return HierarchicalDataset("shapes", HIERARCHY, train, test, mean, std)


def _draw_split(seed: int, split: int, per_class: int) -> HierarchicalImages:
    kinds = [(form, detail) for form in FORMS.values() for detail in DETAILS.values()]
    images = np.empty((len(kinds), per_class, 3, SIZE, SIZE), dtype=np.uint8)
    for label, (form, detail) in enumerate(kinds):
        images[label] = _draw(form, detail, _Chance(per_class, seed, split, label))
    fine = torch.arange(len(kinds)).repeat_interleave(per_class)
    return HierarchicalImages(torch.from_numpy(images).flatten(0, 1), fine, HIERARCHY.roll_up(fine))


class _Chance:
    """Random numbers for `count` images. Every call has a stream of its own, so a larger count adds images only."""

    def __init__(self, count: int, *key: int):
        self._count = count
        self._streams = np.random.SeedSequence(key)

    def uniform(self, low: float, high: float, *shape: int) -> Array:
        """Give numbers between low and high: (count, *shape)."""
        (stream,) = self._streams.spawn(1)
        share = np.random.default_rng(stream).random((self._count, *shape), dtype=np.float32)
        return low + (high - low) * share


# Forms: the signed distance of points x, y (N, H, W) to the outline of a form of about unit radius, negative inside.
# Each is its own mirror image. Only exactly rounded operations work on pixels, for the same bytes on any machine.

Form = Callable[[Array, Array], Array]


def _cross(x: Array, y: Array) -> Array:
    x, y = np.abs(x), np.abs(y)
    return np.maximum(np.maximum(x, y) - 1, np.minimum(x, y) - 0.36)


def _star(x: Array, y: Array) -> Array:
    """Five points: two reflections fold the plane onto half a point, whose edge is one line."""
    x = np.abs(x)
    for mirror in (0.809, -0.809):
        behind = 2 * np.maximum(mirror * x - 0.588 * y, 0)
        x, y = x - behind * mirror, y + behind * 0.588
    return 0.809 * np.abs(x) + 0.588 * (y - 1.15)


def _heart(x: Array, y: Array) -> Array:
    """Two lobes, and the wedge between their tangents that meet in the tip."""
    x = np.abs(x)
    lobes = _length(x - 0.45, y - 0.35) - 0.52
    tangent = 0.768 * x - 0.64 * (y + 1)
    wedge = np.maximum(tangent, np.maximum(0.64 * x + 0.768 * y - 0.557, y - 0.6))
    return np.minimum(lobes, wedge)


FORMS: dict[str, Form] = {
    "disc": lambda x, y: _length(x, y) - 0.86,
    "ring": lambda x, y: np.abs(_length(x, y) - 0.68) - 0.34,
    "square": lambda x, y: np.maximum(np.abs(x), np.abs(y)) - 0.77,
    "triangle": lambda x, y: np.maximum(-y, 0.866 * np.abs(x) + 0.5 * y) - 0.55,
    "cross": _cross,
    "star": _star,
    "crescent": lambda x, y: np.maximum(_length(x + 0.2, y) - 1.05, 0.74 - _length(x - 0.42, y)),
    "heart": _heart,
}

# Details: how much of the second colour a point has, 0 to 1, from its place u, v on the pattern, its depth below the
# outline (both (N, H, W)) and the period of the pattern (N, 1, 1), all in pixels.

Detail = Callable[[Array, Array, Array, Array], Array]


def _dotted(u: Array, v: Array, depth: Array, period: Array) -> Array:
    spacing = 1.2 * period
    return _cover(_length(_from_nearest(u, spacing), _from_nearest(v, spacing)) - 0.3 * period)


DETAILS: dict[str, Detail] = {
    "plain": lambda u, v, depth, period: np.zeros_like(depth),
    "striped": lambda u, v, depth, period: 0.5 + 0.5 * _bands(u, period),
    "dotted": _dotted,
    "chequered": lambda u, v, depth, period: 0.5 + 0.5 * _bands(u, 1.25 * period) * _bands(v, 1.25 * period),
    "outlined": lambda u, v, depth, period: _cover(depth - 0.3 * period),
}

HIERARCHY = LabelHierarchy(
    fine_names=tuple(f"{detail} {form}" for form in FORMS for detail in DETAILS),
    coarse_names=tuple(FORMS),
    coarse_of_fine=tuple(coarse for coarse in range(len(FORMS)) for _ in DETAILS),
)


def _length(x: Array, y: Array) -> Array:
    return np.sqrt(x * x + y * y)


def _cover(distance: Array) -> Array:
    """How much of a pixel lies inside an outline, from its signed distance in pixels."""
    return np.clip(0.5 - distance, 0, 1)


def _from_nearest(u: Array, period: Array) -> Array:
    """Signed distance to the nearest multiple of the period."""
    return u - period * np.rint(u / period)


def _bands(u: Array, period: Array) -> Array:
    """Bands of 1 and -1, half a period wide, with edges smoothed over one pixel."""
    return np.clip(2 * (period / 4 - np.abs(_from_nearest(u, period))), -1, 1)


def _draw(form: Form, detail: Detail, chance: _Chance) -> NDArray[np.uint8]:
    """Draw the images of one class: (N, 3, 32, 32), from the background to the front."""
    across = np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2
    x, y = across[None, None, :], across[None, :, None]
    ground, first, second = _colours(chance)

    image = _background(x, y, ground, chance)
    for _ in range(_STROKES_BEHIND):
        image = _with_stroke(image, x, y, chance)

    depth = _depth(form, x, y, chance)
    mark = detail(*_pattern_place(x, y, chance), depth, _period(chance))
    image = _mix(image, _mix(first, second, mark), _cover(-depth))
    for _ in range(_STROKES_BEFORE):
        image = _with_stroke(image, x, y, chance)

    along, _ = _turn(x, y, chance)
    image = image * (0.85 + 0.3 * chance.uniform(0, 1, 1, 1, 1) * along[:, None] / SIZE)
    grain = chance.uniform(-1, 1, 3, SIZE, SIZE) + chance.uniform(-1, 1, 3, SIZE, SIZE)
    image = image + chance.uniform(*_NOISE, 1, 1, 1) * grain
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _colours(chance: _Chance) -> tuple[Array, Array, Array]:
    """Three colours (N, 3, 1, 1), of several triples drawn the one whose closest two are furthest apart."""
    triples = chance.uniform(0, 1, _COLOUR_TRIALS, 3, 3)
    gaps = np.square(triples - np.roll(triples, 1, axis=2)).sum(axis=3)
    chosen = triples[np.arange(len(triples)), gaps.min(axis=2).argmax(axis=1)][..., None, None]
    return chosen[:, 0], chosen[:, 1], chosen[:, 2]


def _background(x: Array, y: Array, ground: Array, chance: _Chance) -> Array:
    """Fill the picture with a pattern that the details have too, so that a pattern tells nothing by itself."""
    u, v = _pattern_place(x, y, chance)
    period = _period(chance)
    patterns = [DETAILS[name](u, v, u, period) for name in ("striped", "dotted", "chequered")]
    which = np.floor(chance.uniform(0, len(patterns), 1, 1)).astype(np.int64)
    second = ground + _BACKGROUND_CONTRAST * chance.uniform(-1, 1, 3, 1, 1)
    return _mix(ground, second, np.choose(which, patterns))


def _depth(form: Form, x: Array, y: Array, chance: _Chance) -> Array:
    """Place the form at random; give each pixel's depth below its outline: (N, 32, 32)."""
    radius = chance.uniform(*_RADIUS, 1, 1)
    room = SIZE / 2 + _CUT_OFF - radius
    x, y = _turn(x - room * chance.uniform(-1, 1, 1, 1), y - room * chance.uniform(-1, 1, 1, 1), chance)
    stretch = chance.uniform(1 / _STRETCH, _STRETCH, 1, 1)
    return -radius * form(x / (radius * stretch), y * stretch / radius)


def _with_stroke(image: Array, x: Array, y: Array, chance: _Chance) -> Array:
    """Draw one short round-ended stroke of any colour on each image."""
    reach = SIZE / 2
    x, y = _turn(x - chance.uniform(-reach, reach, 1, 1), y - chance.uniform(-reach, reach, 1, 1), chance)
    beyond = np.maximum(np.abs(x) - chance.uniform(0, 5, 1, 1), 0)
    stroke = _cover(_length(beyond, y) - chance.uniform(0.4, 1.3, 1, 1))
    return _mix(image, chance.uniform(0, 1, 3, 1, 1), stroke)


def _pattern_place(x: Array, y: Array, chance: _Chance) -> tuple[Array, Array]:
    u, v = _turn(x, y, chance)
    return u + chance.uniform(0, 8, 1, 1), v + chance.uniform(0, 8, 1, 1)


def _period(chance: _Chance) -> Array:
    return chance.uniform(*_PERIOD, 1, 1)


def _turn(x: Array, y: Array, chance: _Chance) -> tuple[Array, Array]:
    """Rotate points by a random angle. Its sine and cosine round from 64 bits, where machines may differ, to 32."""
    angle = chance.uniform(0, 2 * np.pi, 1, 1).astype(np.float64)
    cosine, sine = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    return cosine * x - sine * y, sine * x + cosine * y


def _mix(under: Array, over: Array, share: Array) -> Array:
    """Lay `over` on `under` (N, 3, H, W or 1) where `share` (N, H, W) is 1."""
    return under + (over - under) * share[:, None]
