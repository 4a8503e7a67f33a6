import pytest
import torch
from torch import nn

from bilateral.analysis.robustness import Attacked, ascent, fgsm, normalise_floats
from bilateral.data.augment import Normalisation
from bilateral.experiments.published import find
from bilateral.models.network import Network
from conftest import make_images

from . import handmade

NORMALISE = Normalisation((0.2, 0.4, 0.6), (0.2, 0.25, 0.3))
CPU = handmade.CPU
ONE = find("left")


class Pixels(nn.Module):
    """A hemisphere whose features are the image."""

    num_features = 3 * 16 * 16

    def forward(self, images):
        return images.flatten(1)


def linear(seed: int, levels=("fine", "coarse")) -> Network:
    """A network whose gradient can be written down."""
    torch.manual_seed(seed)
    heads = {level: nn.Linear(Pixels.num_features, handmade.COUNTS[level]) for level in levels}
    return Network({"left": Pixels()}, heads).eval().requires_grad_(False)


def attacked(networks, combine=ONE.combine) -> Attacked:
    return Attacked([(network, NORMALISE) for network in networks], combine, handmade.HIERARCHY)


@pytest.fixture(scope="module")
def images():
    return make_images(5, 1)


@pytest.fixture(scope="module")
def labels(images):
    return {"fine": images.fine, "coarse": images.coarse}


def loss(said, labels) -> float:
    return sum(nn.functional.cross_entropy(logits, labels[level]).item() for level, logits in said.logits.items())


def test_floats_are_normalised_as_images_are(images):
    found = normalise_floats(NORMALISE, images.images.float() / 255)
    assert torch.allclose(found, NORMALISE(images.images), atol=1e-5) and found.dtype == torch.float32


def test_the_gradient_is_that_of_both_levels_by_the_pixels(images, labels):
    network = linear(0)
    found = ascent(attacked([network]), images.images.float() / 255, labels)
    normalised = NORMALISE(images.images).flatten(1)
    expected = torch.zeros(len(images), Pixels.num_features)
    for level, head in network.heads.items():
        wrong = head(normalised).softmax(1) - torch.eye(handmade.COUNTS[level])[labels[level]]
        expected += wrong @ head.weight
    sure = expected.abs() > 1e-6
    assert sure.float().mean() > 0.99 and found.flatten(1)[sure].equal(expected.sign()[sure])


@pytest.mark.parametrize("deep", [False, True])
def test_the_attack_goes_up_the_loss_and_farther_with_a_larger_step(images, labels, deep):
    networks = [handmade.network(seed=0) if deep else linear(0)]
    row = attacked(networks)
    clean = row.predict(images.images.float() / 255, labels)
    small, large = fgsm(row, images.images, labels, [1e-4 if deep else 1 / 255, 2 / 255], CPU)
    assert loss(clean, labels) < loss(small, labels)
    assert deep or loss(small, labels) < loss(large, labels)
    (none,) = fgsm(row, images.images, labels, [0.0], CPU)
    assert torch.allclose(none.logits["fine"], clean.logits["fine"], atol=1e-4)


def test_pixels_stay_within_their_range(images, labels):
    """A step of 1 makes every pixel black or white."""
    row = attacked([linear(0)])
    signs = ascent(row, images.images.float() / 255, labels)
    assert (signs != 0).all()
    (found,) = fgsm(row, images.images, labels, [1.0], CPU)
    expected = row.predict((signs > 0).float(), labels)
    assert torch.allclose(found.logits["fine"], expected.logits["fine"], atol=1e-3)


@pytest.mark.parametrize("name", ["ensemble_2", "ensemble_2_probabilities", "side_by_side", "hemispheres_ensemble"])
def test_the_attack_is_on_all_networks_of_a_row(images, labels, name):
    kind = find(name)
    networks = [linear(0), linear(1)]
    row, pixels = attacked(networks, kind.combine), images.images.float() / 255
    signs = ascent(row, pixels, labels)
    step = 1e-3

    def after(direction) -> float:
        return loss(row.predict((pixels + step * direction).clamp(0, 1), labels), labels)

    by_one = [ascent(attacked([network]), pixels, labels) for network in networks]
    assert not any(signs.equal(each) for each in by_one)
    assert after(signs) > max(map(after, by_one)) and after(-signs) < after(0 * signs) < after(signs)
    (found,) = fgsm(row, images.images, labels, [step], CPU)
    assert loss(found, labels) == pytest.approx(after(signs), rel=1e-4)


def test_batches_make_no_difference(images, labels, monkeypatch):
    row = attacked([handmade.network(seed=0)])
    (whole,) = fgsm(row, images.images, labels, [1 / 255], CPU)
    monkeypatch.setattr("bilateral.analysis.robustness._PIXELS", 7 * 16 * 16)
    (parts,) = fgsm(row, images.images, labels, [1 / 255], CPU)
    assert len(parts.logits["fine"]) == len(images) and not parts.logits["fine"].requires_grad
    assert (parts.logits["fine"] - whole.logits["fine"]).abs().median() < 1e-3
