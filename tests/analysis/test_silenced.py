import torch

from bilateral.analysis.silenced import answers, told

from . import handmade


def test_a_silenced_side_gives_every_image_its_mean():
    """The corner network's first class is the brighter the whole is; left and right see different corners."""
    network = handmade.corner_network()
    generator = torch.Generator().manual_seed(0)
    features = {side: torch.randn(8, 3, generator=generator) for side in ("left", "right")}
    whole = answers(network, features, "none")
    assert whole["fine"].equal(network.classify(features).fine.argmax(1))
    for side, other in (("left", "right"), ("right", "left")):
        mean = {side: features[side].mean(0).expand(8, 3), other: features[other]}
        expected = network.classify(mean)
        found = answers(network, features, side)
        assert found["fine"].equal(expected.fine.argmax(1)) and found["coarse"].equal(expected.coarse.argmax(1))
        assert not found["fine"].equal(whole["fine"])


def test_one_seed_has_no_interval():
    assert told([2.0]) == "+2.0 (one seed)"
