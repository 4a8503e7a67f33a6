"""k-winners-take-all against plain loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bilateral.models.config import SparsityConfig
from bilateral.models.parts.kwta import KWinnersTakeAll

VARIANTS = ["per_image", "original"]
shares = st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.75, 1.0])


def layer(k, per_k, variant="per_image"):
    return KWinnersTakeAll(SparsityConfig(k=k, per_k=per_k, variant=variant), torch.Size([1, 1, 1]))


def distinct_maps(shape, seed, lowest=None):
    """Maps of distinct values other than 0, in a random order."""
    size = math.prod(shape)
    values = torch.arange(size) - (size // 2 if lowest is None else -lowest) + 0.5
    return values[torch.randperm(size, generator=torch.Generator().manual_seed(seed))].reshape(shape)


def keep_largest(values, count):
    winners = sorted(range(len(values)), key=lambda place: values[place], reverse=True)[:count]
    return [value if place in winners else 0.0 for place, value in enumerate(values)]


def by_loops(maps, k, per_k, variant):
    batch, channels, height, width = maps.shape
    count = math.ceil(k * height * width)
    result = torch.zeros_like(maps)
    for channel in range(channels):
        rows = [keep_largest(maps[image, channel].flatten().tolist(), count) for image in range(batch)]
        if variant == "per_image":
            rows = [keep_largest(row, math.ceil(per_k * count)) for row in rows]
        else:
            rows = keep_largest([value for row in rows for value in row], math.ceil(per_k * count * batch))
        result[:, channel] = torch.tensor(rows).reshape(batch, height, width)
    return result


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 5)] * 2),
    k=shares,
    per_k=shares,
    variant=st.sampled_from(VARIANTS),
    seed=st.integers(0, 99),
)
def test_it_keeps_what_plain_loops_keep(shape, k, per_k, variant, seed):
    maps = distinct_maps(shape, seed)
    assert torch.equal(layer(k, per_k, variant)(maps), by_loops(maps, k, per_k, variant))


@settings(deadline=None, max_examples=30)
@given(shape=st.tuples(*[st.integers(1, 4)] * 4), k=shares, per_k=shares, seed=st.integers(0, 99))
def test_per_image_is_the_original_image_by_image(shape, k, per_k, seed):
    maps = distinct_maps(shape, seed)
    one_by_one = [layer(k, per_k, "original")(maps[image : image + 1]) for image in range(len(maps))]
    assert torch.equal(layer(k, per_k)(maps), torch.cat(one_by_one))


@pytest.mark.parametrize("training", [True, False])
def test_an_image_is_independent_of_its_batch_only_per_image(training):
    maps = torch.stack([distinct_maps((2, 4, 4), 0, lowest=1), distinct_maps((2, 4, 4), 1, lowest=100)])
    for variant, independent in [("per_image", True), ("original", False)]:
        kwta = layer(0.5, 0.5, variant).train(training)
        assert torch.equal(kwta(maps)[:1], kwta(maps[:1])) is independent
    assert not layer(0.5, 0.5, "original")(maps)[0].any(), "the image of large values wins everything"


def test_winners_are_the_largest_not_the_strongest_and_zeros_take_part_in_stage_two():
    maps = torch.tensor([-5.0, 3.0, -2.0, -9.0]).reshape(1, 1, 2, 2)
    # Stage 1 leaves -5, 3, -2 and a zero; the three largest of these are 3, the zero and -2.
    assert layer(0.75, 1.0)(maps).flatten().tolist() == [0, 3, -2, 0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_go_to_winners_alone(variant):
    maps = distinct_maps((3, 2, 4, 4), 3, lowest=1).requires_grad_()
    weights = distinct_maps((3, 2, 4, 4), 4, lowest=1)
    kept = layer(0.4, 0.6, variant)(maps)
    (kept * weights).sum().backward()
    assert torch.equal(maps.grad, torch.where(kept != 0, weights, 0))
    assert 0 < int((kept != 0).sum()) < kept.numel() / 2


def test_memory_order_and_precision_of_the_maps_do_not_matter():
    maps = distinct_maps((2, 3, 4, 4), 5).bfloat16()
    expected = layer(0.3, 0.5)(maps)
    assert expected.dtype == torch.bfloat16
    assert torch.equal(layer(0.3, 0.5)(maps.to(memory_format=torch.channels_last)), expected)
