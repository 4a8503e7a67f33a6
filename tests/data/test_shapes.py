import time

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from bilateral.base.errors import OutOfMemoryError
from bilateral.data import shapes, sources
from bilateral.data.config import DataConfig, ShapesConfig
from bilateral.data.images import HierarchicalDataset, channel_statistics

FINE, COARSE = 40, 8
SEED_0_MEANS = [124.445, 135.971, 141.535, 52.606, 75.602]


def _load(train_per_class: int = 2, test_per_class: int = 1, seed: int = 0) -> HierarchicalDataset:
    config = ShapesConfig(seed=seed, train_per_class=train_per_class, test_per_class=test_per_class)
    return sources.load(DataConfig(shapes=config))


@pytest.fixture(scope="module")
def dataset() -> HierarchicalDataset:
    return _load(train_per_class=100, test_per_class=25)


@pytest.fixture(scope="module")
def plane() -> tuple[np.ndarray, np.ndarray]:
    """A fine grid over the square from -1.3 to 1.3: x and y, each (1, 131, 131)."""
    across = np.linspace(-1.3, 1.3, 131, dtype=np.float32)
    x, y = np.meshgrid(across, across)
    return x[None], y[None]


def test_images_and_labels_have_the_promised_form(dataset: HierarchicalDataset) -> None:
    for images, per_class in ((dataset.train, 100), (dataset.test, 25)):
        assert images.images.shape == (FINE * per_class, 3, 32, 32)
        assert images.images.dtype == torch.uint8
        assert images.fine.dtype == images.coarse.dtype == torch.int64
        assert images.fine.bincount().tolist() == [per_class] * FINE
        assert images.coarse.bincount().tolist() == [per_class * FINE // COARSE] * COARSE
    assert dataset.name == "shapes"
    assert dataset.validation is None
    assert (dataset.mean, dataset.std) == channel_statistics(dataset.train.images)


def test_the_default_size_is_drawn_in_seconds() -> None:
    started = time.process_time()
    dataset = sources.load(DataConfig())
    assert time.process_time() - started < 10
    assert (len(dataset.train), len(dataset.test)) == (8000, 2000)


def test_every_form_comes_with_every_detail() -> None:
    hierarchy = shapes.HIERARCHY
    assert (hierarchy.fine_count, hierarchy.coarse_count) == (FINE, COARSE)
    assert len(set(hierarchy.fine_names)) == FINE
    for fine_name, coarse in zip(hierarchy.fine_names, hierarchy.coarse_of_fine):
        detail, form = fine_name.split()
        assert form == hierarchy.coarse_names[coarse]
        assert detail in shapes.DETAILS


def test_an_image_shows_what_its_label_says(monkeypatch: pytest.MonkeyPatch) -> None:
    forms, details = list(shapes.FORMS.values()), list(shapes.DETAILS.values())

    def draw(form: shapes.Form, detail: shapes.Detail, chance: object) -> np.ndarray:
        return np.full((1, 3, 32, 32), 10 * forms.index(form) + details.index(detail), dtype=np.uint8)

    monkeypatch.setattr(shapes, "_draw", draw)
    drawn = shapes._draw_split(0, 0, 1)
    for image, fine in zip(drawn.images, drawn.fine):
        form, detail = divmod(int(image[0, 0, 0]), 10)
        assert shapes.HIERARCHY.fine_names[fine] == f"{list(shapes.DETAILS)[detail]} {list(shapes.FORMS)[form]}"


def test_one_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    assert _load(seed=3).fingerprint == _load(seed=3).fingerprint
    assert not (_load(seed=3).train.images == _load(seed=4).train.images).flatten(1).all(1).any()


def test_seed_0_stays_the_data_set_that_published_figures_speak_of() -> None:
    """Whoever changes the drawing on purpose measures anew and puts the new means here."""
    means = _load().train.images[::16].double().mean((1, 2, 3))
    assert means.tolist() == pytest.approx(SEED_0_MEANS, abs=0.01)


def test_more_images_never_change_the_first() -> None:
    few, many = _load(train_per_class=2, test_per_class=1), _load(train_per_class=5, test_per_class=3)
    for split, count in (("train", 2), ("test", 1)):
        first, more = few.splits()[split], many.splits()[split]
        assert torch.equal(more.images.unflatten(0, (FINE, -1))[:, :count].flatten(0, 1), first.images)


def test_no_two_images_are_alike_within_or_across_the_splits(dataset: HierarchicalDataset) -> None:
    everything = torch.cat([dataset.train.images, dataset.test.images]).flatten(1)
    assert len({image.numpy().tobytes() for image in everything}) == len(everything)


@pytest.mark.parametrize("form", shapes.FORMS.values(), ids=shapes.FORMS)
def test_a_form_is_its_own_mirror_image_about_as_large_as_the_others(form, plane) -> None:
    x, y = plane
    distance = form(x, y)
    assert any(np.allclose(distance, mirrored, atol=1e-5) for mirrored in (form(-x, y), form(x, -y)))
    assert 0.2 < (distance < 0).mean() * 2.6**2 / np.pi < 1.1
    assert (distance[np.hypot(x, y) > 1.25] > 0).all()


@pytest.mark.parametrize("detail", shapes.DETAILS.values(), ids=shapes.DETAILS)
def test_a_detail_keeps_its_kind_in_the_mirror(detail, plane) -> None:
    u, v = (10 * place for place in plane)
    depth, period = 5 - np.hypot(u, v), np.full((1, 1, 1), 4, dtype=np.float32)
    share = detail(u, v, depth, period)
    assert np.allclose(share, detail(-u, v, depth, period), atol=1e-5)
    assert share.min() >= 0
    assert share.max() <= 1


def test_forms_differ_in_silhouette_and_details_in_filling(plane) -> None:
    x, y = plane
    inside = [form(x, y) < 0 for form in shapes.FORMS.values()]
    period = np.full((1, 1, 1), 4, dtype=np.float32)
    fillings = [detail(10 * x, 10 * y, 8 - 10 * np.hypot(x, y), period) for detail in shapes.DETAILS.values()]
    for first in range(COARSE):
        for second in range(first):
            overlap = (inside[first] & inside[second]).sum() / (inside[first] | inside[second]).sum()
            assert overlap < 0.9
    for first in range(len(fillings)):
        for second in range(first):
            assert np.abs(fillings[first] - fillings[second])[inside[0]].mean() > 0.1


@pytest.mark.parametrize("level", ["fine", "coarse"])
def test_colour_tells_nothing_of_the_label(dataset: HierarchicalDataset, level: str) -> None:
    """The class with the nearest mean colour is the right one hardly more often than chance (2.5 and 12.5 %)."""
    train, test = ((part.images.float().mean((2, 3)), getattr(part, level)) for part in (dataset.train, dataset.test))
    centres = torch.stack([train[0][train[1] == label].mean(0) for label in train[1].unique()])
    accuracy = _accuracy_pct(-torch.cdist(test[0], centres), test[1])
    assert accuracy < {"fine": 6, "coarse": 18}[level]


def test_no_class_is_brighter_or_redder_than_chance_lets_it_be(dataset: HierarchicalDataset) -> None:
    """Analysis of variance of the mean colours: between classes against within, about 1 where they are alike."""
    colours = dataset.train.images.double().mean((2, 3)).unflatten(0, (FINE, -1))
    between = colours.shape[1] * colours.mean(1).var(0)
    assert (between / colours.var(1).mean(0) < 1.8).all()


def test_a_linear_classifier_on_pixels_stays_far_below_35_percent(dataset: HierarchicalDataset) -> None:
    half = dataset.train.select(torch.arange(0, len(dataset.train), 2))
    pixels, unseen = (part.images.flatten(1).float() / 255 - 0.5 for part in (half, dataset.test))
    targets = torch.nn.functional.one_hot(half.fine, FINE).float() - 1 / FINE
    gram = pixels @ pixels.T
    for strength in (30.0, 300.0, 3000.0):
        weights = torch.linalg.solve(gram + strength * torch.eye(len(gram)), targets)
        assert _accuracy_pct(unseen @ (pixels.T @ weights), dataset.test.fine) < 20


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValidationError, match="seed"):
        ShapesConfig(seed=-1)


def _accuracy_pct(scores: Tensor, labels: Tensor) -> float:
    return 100 * (scores.argmax(1) == labels).double().mean().item()


@pytest.mark.parametrize("setting", ["train_per_class", "test_per_class"])
def test_more_images_than_there_is_room_for_are_refused_at_once(setting):
    with pytest.raises(OutOfMemoryError, match=r"needs [\d,.]+ GB of memory.*lower data\.shapes\.train_per_class"):
        sources.load(DataConfig(shapes={setting: 10**9}))


def test_no_number_is_too_large_to_be_refused():
    for changes in ({"train_per_class": 10**400}, {"test_per_class": 10**20}):
        with pytest.raises(ValidationError):
            DataConfig(shapes=changes)
