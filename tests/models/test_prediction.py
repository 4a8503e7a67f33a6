"""A trained network is asked about images, in whatever form they come."""

import numpy as np
import pytest
import torch

from bilateral.base.errors import CheckpointError, DataError
from bilateral.data.augment import Normalisation
from bilateral.data.hierarchy import LabelHierarchy
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.network import Trained

HIERARCHY = LabelHierarchy(("apple", "pear", "cat", "dog"), ("fruit", "pet"), (0, 0, 1, 1))


def network(hierarchy=HIERARCHY, **given):
    side = {"width": 1 / 16}
    made = build_network(ModelConfig.model_validate({"left": side, "right": side, **given}), 4, 2)
    made.trained = Trained(Normalisation((0.5,) * 3, (0.2,) * 3), (32, 24), hierarchy)
    return made


@pytest.fixture(scope="module")
def pixels():
    return torch.randint(0, 256, (5, 3, 32, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_pass_of_pixels_that_are_not_normalised_is_refused(pixels):
    with pytest.raises(DataError, match=r"normalised floats, not torch.uint8; network.normalise\(images\) gives them"):
        network()(pixels)


def test_the_answers_are_those_of_the_pass_by_name(pixels):
    made = network()
    said = made.predict(pixels)
    assert made.training
    logits = made.eval()(made.normalise(pixels)).logits
    for level, found in (("fine", said.fine), ("coarse", said.coarse)):
        torch.testing.assert_close(found.probabilities, logits[level].softmax(1))
        best = logits[level].argmax(1)
        assert torch.equal(found.indices, best)
        names = getattr(HIERARCHY, f"{level}_names")
        assert found.names == [names[index] for index in best.tolist()]
        assert [each[0][0] for each in found.top(2)] == found.names
        assert found.top(2)[0][1][1] == pytest.approx(found.probabilities[0].sort().values[-2].item())
    assert made.hierarchy is HIERARCHY


def test_the_form_of_the_images_changes_nothing(pixels):
    made = network()
    expected = made.predict(pixels).fine.probabilities
    assert not expected.requires_grad and not expected.is_inference()
    last = pixels.permute(0, 2, 3, 1).numpy()
    for given in (pixels.numpy(), last, np.ascontiguousarray(last), torch.from_numpy(last)):
        assert torch.equal(made.predict(given).fine.probabilities, expected)
    assert torch.equal(made.predict(last[2]).fine.probabilities, made.predict(pixels[2]).fine.probabilities)


def test_heads_and_names_that_there_are_not(pixels):
    said = network(hierarchy=None, mode_heads="coarse").predict(pixels)
    assert said.fine is None and set(said.coarse.names) <= {"0", "1"}


@pytest.mark.parametrize(
    "given, told",
    [
        (torch.zeros(2, 3, 32, 24), "uint8 images, 0 to 255, not float32"),
        (
            torch.zeros(2, 3, 24, 32, dtype=torch.uint8),
            r"\(N, 32, 24, 3\) or \(N, 3, 32, 24\), not \(2, 3, 24, 32\); resize",
        ),
        (torch.zeros(32, 24, dtype=torch.uint8), r"not \(32, 24\)"),
    ],
)
def test_other_images_are_refused(given, told):
    with pytest.raises(DataError, match=told):
        network().predict(given)


def test_a_network_without_a_checkpoint_cannot_say_what_its_labels_mean(pixels):
    made = network()
    made.trained = None
    with pytest.raises(CheckpointError, match="does not come from a checkpoint"):
        made.predict(pixels)
