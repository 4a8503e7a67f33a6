import pytest
import torch

from bilateral.analysis import attribution
from bilateral.analysis.attribution import TOGETHER, mean_overlap, overlap
from bilateral.analysis.gradcam import class_activation_maps

from . import handmade


def random_maps(count, size, seed=0):
    return torch.rand(count, size, size, generator=torch.Generator().manual_seed(seed))


def test_overlap_of_equal_maps_is_1_and_of_disjoint_ones_0():
    maps = random_maps(5, 4)
    torch.testing.assert_close(overlap(maps, 3 * maps), torch.ones(5))
    first, second = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    first[0, 0], second[0, 3] = 1, 5
    assert overlap(first, second).item() == 0


def test_overlap_by_hand():
    first = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
    second = torch.tensor([[[1.0, 1.0], [1.0, 1.0]]])
    assert overlap(first, second).item() == pytest.approx(0.25 + 0.25 + 0.2 + 0.1)
    assert overlap(second, first).item() == pytest.approx(0.8)


def keys(seeds):
    return [(seed, level, side, -1) for seed in seeds for level in ("fine", "coarse") for side in ("left", "right")]


@pytest.mark.parametrize(("seeds", "expected"), [((0,), (2, 0, 1)), ((0, 4), (4, 2, 2)), ((0, 1, 2), (6, 6, 3))])
def test_each_pair_is_compared_once(seeds, expected):
    found = list(attribution._compared(keys(seeds)))
    pairs = {}
    for _, kind, first, second in found:
        pairs.setdefault(kind, []).append(frozenset((first, second)))
    assert all(len(set(own)) == len(own) for own in pairs.values())
    across, alike, heads = expected
    counts = {kind: len(own) for kind, own in pairs.items()}
    expected_counts = {TOGETHER: across, "both heads, left": heads, "both heads, right": heads}
    if alike:
        expected_counts |= {"left-left": alike, "right-right": alike, "left-right": 2 * alike}
    assert counts == expected_counts
    for level, kind, first, second in found:
        assert first[1] == level
        if kind in ("left-right", TOGETHER):
            assert first[1] == second[1] and (first[2], second[2]) == ("left", "right")
            assert (first[0] == second[0]) == (kind == TOGETHER)
        elif kind.startswith("both heads"):
            assert first[0] == second[0] and first[2] == second[2] == kind.removeprefix("both heads, ")
            assert {first[1], second[1]} == {"fine", "coarse"}
        else:
            assert first[0] != second[0] and first[1:] == second[1:] and kind == f"{first[2]}-{first[2]}"


def make_study(seeds=(0, 1), left=None, right=None, size=32):
    images = handmade.make_images(4, 1, size)
    said = {seed: {"bilateral": handmade.random_predictions(images.fine, seed)} for seed in seeds}
    networks = {seed: handmade.network(left, right, seed) for seed in seeds}
    return handmade.study(said, networks, images=images)


@pytest.fixture(scope="module")
def computed():
    study = make_study()
    return study, attribution.compute(study)


def test_lines_are_means_over_images_of_the_heads_outcome(computed):
    study, table = computed
    assert len(table) == 2 * 3 * (2 * 2 + 2 * 2 + 2 * 2 + 2 * 2)
    system = study.systems[1]
    stages = {"left": ["res1", "res2"], "right": ["res1", "res2"]}
    maps, _ = class_activation_maps(system.network, system.normalise(study.images.images), stages)
    first, second = maps["coarse", "left", "res1"], maps["coarse", "right", "res1"]
    said = system.bilateral.predictions
    right = said.logits["coarse"].argmax(1) == said.labels["coarse"]
    another = second.roll(len(second) // 2, 0)
    # An empty map overlaps with nothing, and is no sign of chance.
    seen = (first.amax((1, 2)) > 0) & (second.amax((1, 2)) > 0) & (another.amax((1, 2)) > 0)
    own = table.query("pair == @TOGETHER and level == 'coarse' and stage == 'res1' and seed == 1").set_index("outcome")
    for outcome, among in (("all", seen), ("right", seen & right), ("wrong", seen & ~right)):
        line = own.loc[outcome]
        assert line["images"] == among.sum() and among.any()
        assert line["overlap"] == pytest.approx(overlap(first, second)[among].mean().item(), abs=0.02)
        chance = overlap(first, another)[among].mean().item()
        assert line["overlap_chance"] == pytest.approx(chance, abs=0.02)


def test_networks_of_one_seed_twice_look_at_the_same_place():
    study = make_study()
    study.systems[1].__dict__["network"] = study.systems[0].network
    table = attribution.compute(study)
    same = table[(table["pair"] == "left-left") & (table["outcome"] == "all")]
    assert same["overlap"].tolist() == pytest.approx([1] * len(same), abs=1e-5) and len(same) == 4
    assert (same["overlap_chance"] < 0.99).all()


def test_the_sentence_is_of_the_last_stage(computed):
    _, table = computed
    text = attribution.tell(table)
    last = table[(table["stage"] == "res2") & (table["outcome"] == "all")]
    for level in ("fine", "coarse"):
        own = last[(last["pair"] == "left-right") & (last["level"] == level)]
        alike = last[(last["pair"] == "right-right") & (last["level"] == level)]
        chance = f"(different images: {own['overlap_chance'].mean():.2f})"
        assert (
            f"for the {level} head the maps overlap by {own['overlap'].mean():.2f} for left and right {chance}" in text
        )
        chance = f"(different images: {alike['overlap_chance'].mean():.2f})"
        assert f"{alike['overlap'].mean():.2f} for two right ones {chance}" in text
    assert text.startswith("The places where left and right look overlap by ") and " At res2, " in text
    alone = table[(table["seed"] == 0) & (table["other_seed"] == 0)]
    assert "Left and right are of one seed" in attribution.tell(alone) and "are of one seed" not in text
    one = mean_overlap(alone, TOGETHER, "fine")
    assert one["n"] == 1 and mean_overlap(table[table["seed"] == 0], "right-right", "nothing") is None


@pytest.mark.parametrize(
    ("right", "shape", "stages"),
    [
        ({"arch": "resnet18"}, (4, 4), {"res1", "res2", "res2/group4", "group4"}),
        ({"arch": "vgg11_pool"}, (4, 4), {"res1", "res2", "res2/features.14", "features.14"}),
    ],
)
def test_hemispheres_of_different_architectures_are_compared(right, shape, stages):
    study = make_study(right=right)
    table = attribution.compute(study)
    assert set(table["stage"]) <= stages
    across = table[(table["pair"] == "left-right") & (table["outcome"] == "all")]
    assert len(across) == 4 and across["overlap"].notna().all()
    text = attribution.tell(table)
    assert f"overlap by {across[across['level'] == 'fine']['overlap'].mean():.2f}" in text and "nan" not in text
    assert "for two left ones" in text and "for two right ones" in text
    attribution.draw(table)


def test_larger_maps_are_brought_to_the_smaller_size():
    large = torch.arange(16.0).reshape(1, 4, 4)
    first, second = attribution._alike(large, torch.ones(1, 2, 2))
    assert first.tolist() == [[[2.5, 4.5], [10.5, 12.5]]] and second.tolist() == [[[1, 1], [1, 1]]]
    second, first = attribution._alike(torch.ones(1, 2, 2), large)
    assert first.shape == second.shape == (1, 2, 2)
