import itertools
import time

import numpy as np
import pytest
import torch
from torch import Tensor

from bilateral.base.errors import ConfigError, OutOfMemoryError
from bilateral.data import navon, sources
from bilateral.data.config import DataConfig
from bilateral.data.images import HierarchicalDataset, channel_statistics

FINE, COARSE = 36, 6
SEED_0_MEANS = [174.864, 219.194, 149.809, 132.722, 163.344]
PLAIN = {"noise": 0.0, "jitter": 0, "colours": "grey"}


def _load(train_per_class: int = 2, test_per_class: int = 1, **options) -> HierarchicalDataset:
    given = {"train_per_class": train_per_class, "test_per_class": test_per_class, **options}
    return sources.load(DataConfig(name="navon", options=given))


@pytest.fixture(scope="module")
def dataset() -> HierarchicalDataset:
    return _load(train_per_class=60, test_per_class=20)


def test_images_and_labels_have_the_promised_form(dataset):
    for images, per_class in ((dataset.train, 60), (dataset.test, 20)):
        assert images.images.shape == (FINE * per_class, 3, 32, 32)
        assert images.fine.bincount().tolist() == [per_class] * FINE
        assert images.coarse.bincount().tolist() == [per_class * COARSE] * COARSE
    assert (dataset.name, dataset.validation) == ("navon", None)
    assert (dataset.mean, dataset.std) == channel_statistics(dataset.train.images)


def test_the_default_size_is_drawn_in_seconds():
    started = time.process_time()
    assert len(sources.load(DataConfig(name="navon")).train) == 3600
    assert time.process_time() - started < 10


@pytest.mark.parametrize("level", ["global", "local"])
def test_labels_are_the_pair_and_the_identity_on_one_level(level):
    made = navon.hierarchy(level)
    identities = navon.identities_of(torch.arange(FINE))
    names = list(navon.IDENTITIES)
    for fine, name in enumerate(made.fine_names):
        large, small = (names[identities[each][fine]] for each in ("global", "local"))
        assert name == f"large {large}, small {small}"
        assert made.coarse_names[made.coarse_of_fine[fine]] in name.split(", ")
    assert made.roll_up(torch.arange(FINE)).equal(identities[level])


@pytest.mark.parametrize(
    "size", [{}, {"image_size": 48, "large": 47}, {"image_size": 64, "large": 61, "small": 7, "spacing": 2}]
)
def test_an_image_shows_what_its_label_says(size):
    """The places of the large form, and what stands at its first place, against those of every identity."""
    options = navon.Options(**PLAIN, **size)
    images = _load(**PLAIN, **size).test
    share = _share_of_figure(images.images, options)
    pitch = (options.large - options.small) / (options.places - 1)
    start = (options.image_size - options.large) // 2
    corners = (start + torch.arange(options.places) * pitch).round().long()
    cells = torch.stack(
        [share[:, y : y + options.small, x : x + options.small] for y, x in itertools.product(corners, corners)], 1
    )
    filled = cells.sum((2, 3)) > 1
    identities = navon.identities_of(images.fine)
    for number, (large, small) in enumerate(zip(*identities.values())):
        lines = list(navon.IDENTITIES.values())
        grids = [torch.from_numpy(navon._grid(form, options.places)).flatten() for form in lines]
        assert [grid.equal(filled[number]) for grid in grids].index(True) == large
        middle = torch.arange(options.small) + 0.5 - options.small / 2
        x, y = middle[None].numpy(), middle[:, None].numpy()
        stamps = [torch.from_numpy(navon._cover(form, x, y, options.small / 2 - navon._LINE)) for form in lines]
        seen = cells[number][filled[number]].mean(0)
        assert min(range(COARSE), key=lambda each: (stamps[each] - seen).square().sum()) == small


def _share_of_figure(images: Tensor, options: navon.Options) -> Tensor:
    """How much of the figure's colour pixels have, where there is no noise: (N, H, W); a corner is background."""
    grey = images[:, 0].float() / 255
    return (grey - grey[:, :1, -1:]).abs() / options.contrast


@pytest.mark.parametrize("places", [5, 7, 9, 21])
def test_all_identities_have_as_many_small_forms(places):
    assert {navon._grid(form, places).sum() for form in navon.IDENTITIES.values()} == {2 * places - 1}


@pytest.mark.parametrize("settings", [{}, {"salience": 0.4}, {"large": 50, "small": 6, "image_size": 64}])
def test_figures_differ_and_are_their_own_mirror_images(settings):
    options = navon.Options(**settings)
    forms = navon.IDENTITIES.values()
    figures = [navon._figure(large, small, options) for large in forms for small in forms]
    for figure in figures:
        assert np.allclose(figure, figure[:, ::-1], atol=1e-5)
        assert figure.min() >= 0 and figure.max() <= 1
    for one, other in itertools.combinations(figures, 2):
        assert np.abs(one - other).sum() > 20


def test_salience_divides_the_contrast_between_the_levels():
    """Between the small forms of a large plus lies its filling; its middle is on lines of both."""
    shares = {}
    for salience in (0.0, 0.3):
        options = navon.Options(**PLAIN, salience=salience)
        images = _load(**PLAIN, salience=salience).test
        plus = images.select((images.fine == 2 * COARSE + 2).nonzero()[:, 0])
        start = (32 - 29) // 2
        share = _share_of_figure(plus.images, options)[0, start : start + 29, start : start + 29]
        shares[salience] = share[14, 14], share[12, 12], share[5, 5]
    assert torch.tensor(shares[0.0]).allclose(torch.tensor([1.0, 0.0, 0.0]), atol=0.02)
    assert torch.tensor(shares[0.3]).allclose(torch.tensor([1.0, 0.3, 0.0]), atol=0.02)


def test_one_seed_gives_the_same_bytes_and_another_seed_others():
    assert _load(seed=3).fingerprint == _load(seed=3).fingerprint
    assert not (_load(seed=3).train.images == _load(seed=4).train.images).flatten(1).all(1).any()


def test_seed_0_stays_the_data_set_that_figures_speak_of():
    """Whoever changes the drawing on purpose measures anew and puts the new means here."""
    means = _load().train.images[::16].double().mean((1, 2, 3))
    assert means.tolist() == pytest.approx(SEED_0_MEANS, abs=0.01)


def test_more_images_never_change_the_first():
    few, many = _load(train_per_class=2, test_per_class=1), _load(train_per_class=5, test_per_class=3)
    for split, count in (("train", 2), ("test", 1)):
        first, more = few.splits()[split], many.splits()[split]
        assert torch.equal(more.images.unflatten(0, (FINE, -1))[:, :count].flatten(0, 1), first.images)


def test_no_two_images_are_alike_within_or_across_the_splits(dataset):
    everything = torch.cat([dataset.train.images, dataset.test.images]).flatten(1)
    assert len({image.numpy().tobytes() for image in everything}) == len(everything)


def test_the_figure_stands_anywhere_within_the_jitter():
    images = _load(40, image_size=40, jitter=4, noise=0.0, colours="grey").train
    share = _share_of_figure(images.images, navon.Options(image_size=40, jitter=4))
    tops = {int((one > 0.1).any(1).nonzero()[0]) for one in share[images.fine == 0]}
    assert tops == set(range(1, 10))


@pytest.mark.parametrize("level", ["global", "local"])
def test_colour_tells_nothing_of_the_identity(dataset, level):
    """The identity with the nearest mean colour is the right one hardly more often than chance (16.7 %)."""
    train, test = (
        (part.images.float().mean((2, 3)), navon.identities_of(part.fine)[level])
        for part in (dataset.train, dataset.test)
    )
    centres = torch.stack([train[0][train[1] == label].mean(0) for label in range(COARSE)])
    assert (torch.cdist(test[0], centres).argmin(1) == test[1]).double().mean() < 0.23


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"large": 28}, "5 pixels, 1 apart, do not fit 5 times into a large form of 28: make `large` 29 or more"),
        ({"small": 6}, "do not fit 5 times into a large form of 29: make `large` 34 or more"),
        ({"spacing": -1}, r"data\.options\.spacing: .*greater than or equal to 0, not -1"),
        ({"jitter": 2}, "29 pixels, 2 off the middle, does not fit into an image of 32: make `image_size` 33 or more"),
        ({"level": "middle"}, r"data\.options\.level: Input should be 'global' or 'local', not 'middle'"),
        ({"salience": 1.0}, r"data\.options\.salience: .*less than 1"),
        ({"seed": -1}, r"data\.options\.seed"),
        ({"size": 32}, r"data\.options\.size: unknown setting; this kind has: level, image_size, large"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_what_to_change(options, message):
    with pytest.raises(ConfigError, match=message):
        _load(**options)


@pytest.mark.parametrize("setting", ["train_per_class", "test_per_class"])
def test_more_images_than_there_is_room_for_are_refused_at_once(setting):
    with pytest.raises(OutOfMemoryError, match=r"needs [\d,.]+ GB of memory.*lower data\.options\.train_per_class"):
        sources.load(DataConfig(name="navon", options={setting: 10**9}))
