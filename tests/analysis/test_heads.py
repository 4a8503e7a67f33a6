import pytest
import torch
from torch import nn

from bilateral.analysis.heads import SILENCED, Contributions, answers, contributions, head_layer
from bilateral.analysis.study import NotApplicableError
from bilateral.models.joins.base import Join
from bilateral.models.network import Network

from . import handmade


def features(network, count=20, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return {
        side: torch.randn(count, hemisphere.num_features, generator=generator)
        for side, hemisphere in network.hemispheres.items()
    }


def centred(values):
    return values - values.mean(1, keepdim=True)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("right", [{}, {"arch": "resnet18"}, {"width": 0.125}])
def test_left_and_right_and_bias_are_the_logits_of_the_pass(seed, right):
    network = handmade.network(right=right, seed=seed)
    for head in network.heads.values():
        nn.init.normal_(head[1].bias)
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    output = network(images)
    for level, logits in output.logits.items():
        parts = contributions(network, level, output.features)
        torch.testing.assert_close(parts.logits, logits, atol=1e-4, rtol=1e-4)
        assert parts.left.norm() > 0.01 and parts.right.norm() > 0.01 and parts.bias.norm() > 0.1
        weight = network.heads[level][1].weight
        width = output.features["left"].shape[1]
        torch.testing.assert_close(parts.left_norms, weight[:, :width].norm(dim=1))
        torch.testing.assert_close(parts.right_norms, weight[:, width:].norm(dim=1))


def test_each_part_is_what_its_side_alone_gives():
    network = handmade.network(right={"width": 0.125})
    given = features(network)
    for level in ("fine", "coarse"):
        parts, bias = contributions(network, level, given), network.heads[level][1].bias
        alone = network.classify({**given, "right": torch.zeros_like(given["right"])}).logits[level]
        torch.testing.assert_close(parts.left + bias, alone)
        alone = network.classify({**given, "left": torch.zeros_like(given["left"])}).logits[level]
        torch.testing.assert_close(parts.right + bias, alone)


def test_the_share_is_a_half_for_equal_hemispheres_and_1_without_right():
    network = handmade.network()
    given = features(network)
    given["right"] = given["left"]
    for head in network.heads.values():
        head[1].weight[:, 32:] = head[1].weight[:, :32]
    torch.testing.assert_close(contributions(network, "fine", given).share, torch.full((20,), 0.5))
    for head in network.heads.values():
        head[1].weight[:, 32:] = 0
    torch.testing.assert_close(contributions(network, "coarse", given).share, torch.ones(20))
    for head in network.heads.values():
        head[1].weight[:] = 0
    assert contributions(network, "coarse", given).share.isfinite().all()


def test_strengths_and_share_by_hand_and_without_what_all_classes_get():
    left, right = torch.tensor([[4.0, 0.0, 2.0]]), torch.tensor([[1.0, 1.0, 4.0]])
    parts = Contributions(left, right, torch.zeros(3), torch.ones(3), torch.ones(3))
    assert [value.item() for value in parts.strengths] == pytest.approx([8**0.5, 6**0.5])
    assert parts.share.item() == pytest.approx(8**0.5 / (8**0.5 + 6**0.5))
    shifted = Contributions(left + 70, right - 30, torch.zeros(3), torch.ones(3), torch.ones(3))
    assert shifted.share.item() == pytest.approx(parts.share.item(), abs=1e-5)


def test_at_its_own_share_each_image_keeps_its_logits():
    network = handmade.network()
    parts = contributions(network, "fine", features(network))
    kept = parts.at_share(parts.share)
    torch.testing.assert_close(kept, centred(parts.left) + centred(parts.right) + parts.bias, atol=1e-5, rtol=1e-4)
    assert kept.argmax(1).equal(parts.logits.argmax(1))


def test_at_a_fixed_share_strengths_are_that_and_add_up_to_the_same():
    network = handmade.network()
    parts = contributions(network, "fine", features(network))
    for share in (0.0, 0.3, 1.0):
        only_left = Contributions(parts.left, parts.right, torch.zeros(6), parts.left_norms, parts.right_norms)
        moved = only_left.at_share(share)
        total = sum(parts.strengths)
        directions = [
            centred(values) / centred(values).norm(dim=1, keepdim=True) for values in (parts.left, parts.right)
        ]
        expected = (share * total)[:, None] * directions[0] + ((1 - share) * total)[:, None] * directions[1]
        torch.testing.assert_close(moved, expected, atol=1e-5, rtol=1e-4)


def test_heads_that_are_not_linear_in_left_and_right_are_not_taken_apart():
    network = handmade.network()
    given = features(network)
    with pytest.raises(NotApplicableError, match="not linear"):
        contributions(network, "fine", {"left": given["left"]})
    deep = nn.Sequential(nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 6))
    assert head_layer(Network(network.hemispheres, {"fine": deep}), "fine") is None
    with pytest.raises(NotApplicableError):
        contributions(Network(network.hemispheres, {"fine": deep}), "fine", given)
    plain = nn.Linear(64, 6)
    assert head_layer(Network(network.hemispheres, {"fine": plain}), "fine") is plain


def test_a_head_without_bias_has_none():
    network = handmade.network()
    plain = Network(network.hemispheres, {"fine": nn.Linear(64, 6, bias=False)})
    given = features(plain)
    parts = contributions(plain, "fine", given)
    torch.testing.assert_close(parts.logits, plain.classify(given).fine, atol=1e-5, rtol=1e-4)


class Turned(Join):
    """Joins the other way round, which no one sees by the sizes."""

    def forward(self, features):
        return torch.cat([features["right"], features["left"]], 1)


def test_hemispheres_that_are_joined_otherwise_are_not_taken_apart():
    network = handmade.network()
    turned = Network(network.hemispheres, network.heads, join=Turned(None, {}))
    with pytest.raises(NotApplicableError):
        contributions(turned, "fine", features(network))


def test_a_silenced_side_gives_every_image_its_mean():
    """The corner network's first class is the brighter the whole is; left and right see different corners."""
    network = handmade.corner_network()
    generator = torch.Generator().manual_seed(0)
    features = {side: torch.randn(8, 3, generator=generator) for side in ("left", "right")}
    whole = answers(network, features)
    assert whole["fine"].equal(network.classify(features).fine.argmax(1))
    for side, other in (("left", "right"), ("right", "left")):
        mean = {side: features[side].mean(0).expand(8, 3), other: features[other]}
        expected = network.classify(mean)
        found = answers(network, features, SILENCED[side])
        assert found["fine"].equal(expected.fine.argmax(1)) and found["coarse"].equal(expected.coarse.argmax(1))
        assert not found["fine"].equal(whole["fine"])
