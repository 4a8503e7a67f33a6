import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from bilateral.analysis import cka
from bilateral.analysis.activations import shuffled
from bilateral.analysis.cka import _normalised, _unit, hsic, hsic_unbiased, procrustes

from . import handmade


def gram(values):
    return values @ values.T


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def similarities(*features):
    grams = torch.stack([gram(each) for each in features])
    plain, unbiased = hsic(grams), hsic_unbiased(grams)
    return _normalised(plain, plain), _normalised(unbiased, unbiased)


def rotation(size, seed=0):
    return torch.linalg.qr(random(size, size, seed=seed))[0]


def test_equal_representations_have_1_and_so_have_turned_and_scaled_ones():
    features = random(40, 12)
    for plain in similarities(features, 3.7 * features @ rotation(12), features - 2):
        torch.testing.assert_close(plain[0, :], torch.ones(3, dtype=torch.float64))
    # Scaling one direction alone is another representation.
    for plain in similarities(features, features * torch.tensor([9.0] + [1.0] * 11)):
        assert plain[0, 1] < 0.95


def test_any_pair_is_as_similar_turned_and_scaled():
    first, second = random(40, 12), random(40, 20, seed=1)
    second[:, :6] += 2 * first[:, :6]
    for once, turned in zip(
        similarities(first, second), similarities(0.2 * first @ rotation(12), second @ rotation(20))
    ):
        torch.testing.assert_close(once, turned)
        assert 0.1 < once[0, 1] < 0.9


def test_unrelated_features_of_many_dimensions_are_similar_only_to_the_biased_one():
    biased, unbiased = similarities(random(60, 2000), random(60, 3000, seed=1))
    assert biased[0, 1] > 0.9 and abs(unbiased[0, 1]) < 0.05


def test_biased_cka_is_the_formula_over_features():
    first, second = random(30, 8), random(30, 50, seed=1) + 4
    second[:, 0] += 3 * first[:, 0]
    one, other = first - first.mean(0), second - second.mean(0)
    expected = (other.T @ one).norm() ** 2 / ((one.T @ one).norm() * (other.T @ other).norm())
    biased, _ = similarities(first, second)
    assert biased[0, 1].item() == pytest.approx(expected.item()) and biased[1, 0] == biased[0, 1]
    # HSIC itself: of the covariance matrix between both.
    covariance = other.T @ one / 29
    value = hsic(torch.stack([gram(first), gram(second)]))[0, 1]
    assert value.item() == pytest.approx((covariance**2).sum().item())


def loops(first, second):
    """Song et al. 2012, equation 4: U-statistics over different images, in loops."""
    count = len(first)
    k, other = first.numpy(), second.numpy()
    places = range(count)
    two = np.mean([k[i, j] * other[i, j] for i in places for j in places if i != j])
    three = np.mean([k[i, j] * other[i, q] for i in places for j in places for q in places if len({i, j, q}) == 3])
    four = np.mean(
        [
            k[i, j] * other[q, r]
            for i in places
            for j in places
            for q in places
            for r in places
            if len({i, j, q, r}) == 4
        ]
    )
    return two + four - 2 * three


def test_unbiased_hsic_is_the_u_statistic():
    features = [random(7, 3), random(7, 5, seed=1), random(7, 2, seed=2) + 1]
    grams = torch.stack([gram(each) for each in features])
    found = hsic_unbiased(grams)
    for i in range(3):
        for j in range(3):
            assert found[i, j].item() == pytest.approx(loops(grams[i], grams[j]), rel=1e-9)


def test_unbiased_hsic_of_unrelated_features_is_0_on_average():
    values = [
        hsic_unbiased(torch.stack([gram(random(8, 4, seed=2 * n)), gram(random(8, 4, seed=2 * n + 1))]))[0, 1].item()
        for n in range(300)
    ]
    assert abs(np.mean(values)) < 4 * np.std(values) / len(values) ** 0.5


def test_what_says_nothing_is_similar_to_nothing():
    for found in similarities(torch.ones(9, 4, dtype=torch.float64), random(9, 4)):
        assert found[0, 1].abs() < 1e-6 and not found.isnan().any()


def test_the_procrustes_distance_is_what_the_best_rotation_leaves():
    first, second = random(40, 6), random(40, 6, seed=1)
    units = [each - each.mean(0) for each in (first, second)]
    first, second = (each / each.norm() for each in units)
    turn, _ = orthogonal_procrustes(second.numpy(), first.numpy())
    left = _unit(first), _unit(second @ torch.from_numpy(turn))
    # With both scaled to 1, the squared distance after the turn.
    assert procrustes(first, second) == pytest.approx((left[0] - left[1]).square().sum().item())
    assert procrustes(first, _unit(3.7 * first @ rotation(6) - 2)) == pytest.approx(0, abs=1e-9)
    assert 0 < procrustes(first, _unit(random(40, 3, seed=2))) <= 2
    assert procrustes(first, torch.zeros(40, 6, dtype=torch.float64)) == 2


@pytest.fixture
def study(monkeypatch):
    monkeypatch.setattr(cka, "BATCH", 10)
    networks = {seed: handmade.network(right={"arch": "resnet18"}, seed=seed) for seed in (0, 1, 2)}
    return handmade.study({seed: {} for seed in networks}, networks, images=handmade.make_images(7, 1))


def test_all_stages_are_compared_across_and_with_other_seeds(study):
    table = cka.compute(study)
    counts = table.groupby("kind").size().to_dict()
    expected = {"left-right": 6 * 7 * 6, cka.TOGETHER: 3 * 7 * 6, "left-left": 3 * 7 * 7, "right-right": 3 * 6 * 6}
    assert counts == expected
    across, together = (table[table["kind"] == kind] for kind in ("left-right", cka.TOGETHER))
    assert (across["first_seed"] != across["second_seed"]).all()
    assert (together["first_seed"] == together["second_seed"]).all()
    assert set(across["first_side"]) == {"left"} and set(across["second_side"]) == {"right"}
    same = table[table["kind"].isin(["left-left", "right-right"])]
    assert (same["first_seed"] < same["second_seed"]).all() and (same["first_side"] == same["second_side"]).all()
    assert not table.duplicated(list(table.columns[:6])).any()
    text = cka.tell(table)
    apart = cka.at_end(table, "left-right", -1, "procrustes")
    assert f"(0: alike but for a rotation) is {apart:.2f} there" in text
    assert "for two left ones (images in" in text and "for two right ones" in text and "one seed alone" not in text


def test_left_and_right_are_those_of_two_seeds_unless_there_is_one(study):
    table = cka.compute(study)
    for kind in ("left-right", cka.TOGETHER):
        end = (table["kind"] == kind) & (table["first_stage"] == "res2") & (table["second_stage"] == "pool")
        table.loc[end, "cka_debiased"] = {"left-right": 0.25, cka.TOGETHER: 0.75}[kind]
    last = table[table["kind"] == "left-right"]
    value = cka.at_end(table, "left-right", -1)
    assert f"{value:.2f} for left and right (images in another order: {last_chance(last):.2f})" in cka.tell(table)
    alone = table[(table["first_seed"] == 0) & (table["second_seed"] == 0)]
    assert cka.across_kind(alone) == cka.TOGETHER and "There is one seed alone" in cka.tell(alone)
    cka.draw(alone)


def last_chance(own):
    first, second = own["first_stage"].unique()[-1], own["second_stage"].unique()[-1]
    return own.loc[(own["first_stage"] == first) & (own["second_stage"] == second), "chance"].mean()


def test_chance_is_of_the_very_pair_with_its_images_in_another_order(study):
    table = cka.compute(study)
    images = study.systems[0].normalise(study.images.images[shuffled(torch.arange(42))])
    sums, own = 0, [0, 0]
    for batch in images[:40].split(10):
        left = study.systems[0].network.activations(batch)["left", "res1"].flatten(1).double()
        right = study.systems[2].network.activations(batch)["right", "stem"].flatten(1).double()
        sums = sums + hsic_unbiased(torch.stack([gram(left), gram(right.roll(5, 0))]))[0, 1]
        own = [total + hsic_unbiased(gram(each)[None])[0, 0] for total, each in zip(own, (left, right))]
    line = table.set_index(list(table.columns[:6])).loc[(0, "left", "res1", 2, "right", "stem")]
    assert line["kind"] == "left-right"
    assert line["chance"] == pytest.approx((sums / (own[0] * own[1]).sqrt()).item(), abs=3e-3)


def test_batches_are_averaged_and_a_small_rest_is_left_out(study):
    """42 images: batches of 10, and a rest of 2, which has no unbiased HSIC."""
    table = cka.compute(study).set_index(list(cka.compute(study).columns[:6]))
    network = study.systems[0].network
    images = study.systems[0].normalise(study.images.images[shuffled(torch.arange(42))])
    sums = {"cka": 0, "cka_debiased": 0}
    for batch in images[:40].split(10):
        stages = (
            network.activations(batch)["left", "res1"],
            network.activations(batch)["right", "stem"],
        )
        grams = torch.stack([gram(values.flatten(1).double()) for values in stages])
        sums = {"cka": sums["cka"] + hsic(grams), "cka_debiased": sums["cka_debiased"] + hsic_unbiased(grams)}
    line = table.loc[(0, "left", "res1", 0, "right", "stem")]
    for name, total in sums.items():
        expected = total[0, 1] / (total[0, 0] * total[1, 1]).sqrt()
        assert line[name] == pytest.approx(expected.item(), abs=2e-3)


def test_equal_hemispheres_are_equal_at_every_stage(study):
    network = handmade.network()
    network.hemispheres["right"].load_state_dict(network.hemispheres["left"].state_dict())
    table = cka.compute(handmade.study({0: {}}, {0: network}, images=study.images))
    same = table[table["first_stage"] == table["second_stage"]]
    assert len(same) == 7 and same["cka"].tolist() == pytest.approx([1] * 7)
    assert same["cka_debiased"].tolist() == pytest.approx([1] * 7)
    assert cka.by_stage(table)["cka_debiased"].tolist() == pytest.approx([1] * 7)
    assert cka.at_end(table, cka.TOGETHER, -1) == pytest.approx(1) and cka.at_end(table, "left-left", 0) is None
    assert same["procrustes"].tolist() == pytest.approx([0] * 7, abs=1e-3) and (same["procrustes_chance"] > 0.05).all()
    different = table[(table["first_stage"] == "conv1") & (table["second_stage"] == "res2")]
    assert different["cka_debiased"].item() < 0.95


def test_a_batch_holds_all_classes_of_a_sorted_data_set(monkeypatch):
    labels = torch.arange(10).repeat_interleave(100)
    images = Images(labels[:, None, None, None].expand(-1, 3, 4, 4).to(torch.uint8))
    study = SimpleNamespace(images=images, systems=[SimpleNamespace(seed=0)])
    seen = []

    def activations(system, batch):
        seen.append(batch[:, 0, 0, 0].unique().tolist())
        values = batch.float() + torch.rand(batch.shape)
        return {("left", "stage"): values, ("right", "stage"): values}

    monkeypatch.setattr(cka, "stage_activations", activations)
    (line,) = cka.compute(study).to_dict("records")
    assert line["cka_debiased"] == pytest.approx(1) and len(seen) == 4
    assert all(classes == list(range(10)) for classes in seen)


class Images:
    """Test images that are nothing but pixels."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)


@pytest.mark.parametrize(
    ("rises", "begin"),
    [
        ([-0.5, -0.52, -0.5], "Left and right of one seed are less alike at the last stage (debiased CKA 0.29; "),
        ([0.3, 0.32, 0.3], "Left and right of one seed are more alike at the last stage (debiased CKA 1.11; "),
        (
            [-0.5, 0.6, -0.2],
            "Left and right of one seed are not shown to be less alike at the last stage (debiased CKA 0.77; ",
        ),
        ([-0.5], "In this one seed left and right are less alike at the last stage (debiased CKA 0.30; "),
    ],
)
def test_the_first_and_the_last_stage_are_compared_by_seed(rises, begin):
    """Pairs of two seeds have the mean of both seeds' rises."""
    lines = [
        (first, "left", one, second, "right", other, kind, value, 0.0, 1.0, 1.0)
        for first, second in itertools.product(range(len(rises)), repeat=2)
        for kind in (cka.TOGETHER if first == second else "left-right",)
        for one, other in itertools.product(("conv1", "pool"), repeat=2)
        for value in (0.8 + (rises[first] + rises[second]) / 2 * (one == "pool"),)
    ]
    columns = [f"{which}_{part}" for which in ("first", "second") for part in ("seed", "side", "stage")]
    measures = ["cka_debiased", "chance", "procrustes", "procrustes_chance"]
    text = cka.tell(pd.DataFrame(lines, columns=[*columns, "kind", *measures]))
    assert text.startswith(
        f"{begin}1: equal, 0: unrelated) than at the first (0.80). The last stage differs from the first by "
    )
    assert (
        f"differs from the first by {sum(rises) / len(rises):+.2f} ({'n = 3, 95' if len(rises) > 1 else 'one s'}"
        in text
    )
