from copy import copy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from bilateral.analysis import head_shares
from bilateral.analysis.head_shares import weighting
from bilateral.analysis.heads import Contributions

from . import handmade


@pytest.fixture(scope="module")
def computed():
    images = handmade.make_images(10, 1)
    networks = {seed: handmade.network(seed=seed) for seed in (0, 1)}
    said = {
        seed: {
            "left": handmade.random_predictions(images.fine, seed, ("fine",)),
            "right": handmade.random_predictions(images.fine, seed + 10, ("coarse",)),
            "bilateral": handmade.random_predictions(images.fine, seed + 20),
        }
        for seed in networks
    }
    study = handmade.study(said, networks, images=images)
    return study, head_shares.compute(study)


def test_the_table_is_the_networks_logits_taken_apart(computed):
    study, table = computed
    assert len(table) == 2 * 2 * 60 and not table.duplicated(["seed", "level", "image"]).any()
    for system in study.systems:
        logits = study.evaluation(system).logits
        for level in ("fine", "coarse"):
            own = table[(table["seed"] == system.seed) & (table["level"] == level)]
            best, which = logits[level].max(1)
            assert own["predicted"].tolist() == which.tolist()
            added = own["left_logit"] + own["right_logit"] + own["bias"]
            assert np.allclose(added, best, atol=1e-4) and np.allclose(own["logit"], best, atol=1e-4)
            labels = study.images.fine if level == "fine" else study.images.coarse
            assert own["label"].tolist() == labels.tolist()
            assert own["right"].tolist() == (which == labels).int().tolist()
            for side, predictions, of in (("left", system.left, "fine"), ("right", system.right, "coarse")):
                said = predictions.predictions
                right = said.logits[of].argmax(1) == said.labels[of]
                assert own[f"{side}_right"].tolist() == right.int().tolist()
            weight = system.network.heads[level][1].weight
            norms = weight[which][:, :32].norm(dim=1)
            assert np.allclose(own["left_weight_norm"], norms, rtol=1e-4)


def scaled(study, system, level, features, share):
    """The logits of a head if left had a share of the strength, by its weights."""
    weight, bias = system.network.heads[level][1].weight, system.network.heads[level][1].bias
    parts = [features["left"] @ weight[:, :32].T, features["right"] @ weight[:, 32:].T]
    parts = [part - part.mean(1, keepdim=True) for part in parts]
    norms = [part.norm(dim=1) for part in parts]
    total = norms[0] + norms[1]
    own = norms[0] / total
    share = own if share is None else share
    return own, (share * total / norms[0])[:, None] * parts[0] + ((1 - share) * total / norms[1])[:, None] * parts[
        1
    ] + bias


@pytest.mark.parametrize("level", ["fine", "coarse"])
def test_the_constant_share_is_the_best_one_on_held_out_images(computed, level):
    study, table = computed
    system = study.systems[1]
    own = table[(table["seed"] == 1) & (table["level"] == level)]
    held_out = study.held_out_evaluation(system)
    assert len(held_out.labels["fine"]) != len(study.images)
    right = [
        (scaled(study, system, level, held_out.features, constant)[1].argmax(1) == held_out.labels[level]).sum().item()
        for constant in head_shares.CONSTANTS
    ]
    mean = scaled(study, system, level, held_out.features, None)[0].mean().item()
    as_good = [share for share, count in zip(head_shares.CONSTANTS, right) if count == max(right)]
    best = min(as_good, key=lambda share: abs(share - mean))
    share, logits = scaled(study, system, level, study.evaluation(system).features, best)
    assert np.allclose(own["share"], share.detach(), atol=1e-5)
    labels = study.images.fine if level == "fine" else study.images.coarse
    assert own["constant_right"].tolist() == (logits.argmax(1) == labels).float().tolist()


def test_permuted_shares_are_those_of_other_images_of_this_seed_and_head(computed, monkeypatch):
    study, _ = computed
    held, real = [], Contributions.at_share

    def note(parts, share):
        if isinstance(share, torch.Tensor):
            held.append((share, parts.share))
        return real(parts, share)

    monkeypatch.setattr(Contributions, "at_share", note)
    table = head_shares.compute(study)
    assert len(held) == 4 * head_shares.PERMUTATIONS
    for permuted, own in held:
        assert permuted.sort().values.equal(own.sort().values) and (permuted != own).float().mean() > 0.8
    firsts = [permuted.argsort() for permuted, _ in held]
    assert not any(one.equal(other) for place, one in enumerate(firsts) for other in firsts[:place])
    # The mean over the permutations: fifths.
    assert np.allclose((table["permuted_right"] * head_shares.PERMUTATIONS) % 1, 0, atol=1e-5)


def test_a_gate_that_changes_no_answer_costs_exactly_nothing():
    right = [1, 0, 1, 1, 0, 1, 1] * 13
    same = [float(each) for each in right]
    table = made(0, share=[0.5] * len(right), right=right, permuted_right=same, constant_right=same)
    found = weighting(pd.concat([table.assign(seed=seed) for seed in range(3)]), "fine")
    assert found["permuted_points"]["ci95"] == found["constant_points"]["ci95"] == (0, 0)


def test_without_held_out_images_there_is_no_constant_share(computed):
    study, _ = computed
    original = copy(study)
    object.__setattr__(original, "config", study.config.model_copy(update={"protocol": "original"}))
    table = head_shares.compute(original)
    assert table["constant_right"].isna().all() and "constant_points" not in weighting(table, "fine")
    assert "best constant share" not in head_shares.tell(table) and "another image's share" in head_shares.tell(table)


def made(seed: int, **columns) -> pd.DataFrame:
    count = len(columns["share"])
    given = {
        "seed": seed,
        "level": "fine",
        "label": [0] * count,
        "right": [1] * count,
        "left_logit": [3.0] * count,
        "right_logit": [1.0] * count,
        "left_weight_norm": [1.0] * count,
        "right_weight_norm": [1.0] * count,
        "constant_right": [1.0] * count,
        "permuted_right": [1.0] * count,
        "left_right": [1] * count,
        "right_right": [1] * count,
    }
    return pd.DataFrame(given | columns)


TABLE = made(
    0,
    share=[0.9, 0.7, 0.6, 0.2, 0.5, 0.1],
    label=[0, 0, 1, 1, 2, 2],
    right=[1, 1, 1, 1, 0, 0],
    constant_right=[1.0, 0.0, 1.0, 0.0, 1.0, 0.0],
    permuted_right=[1.0, 0.5, 0.5, 0.0, 0.0, 0.0],
    left_right=[1, 1, 0, 0, 1, 0],
    right_right=[0, 0, 1, 1, 1, 0],
    left_logit=[4.0, 2.0, 0.0, 3.0, 3.0, 0.0],
    right_logit=[1.0, 1.0, 1.0, 0.0, 0.0, 1.0],
)


def test_the_weighting_by_hand():
    found = {name: summary["mean"] for name, summary in weighting(TABLE, "fine").items()}
    share = np.array(TABLE["share"])
    assert found["share_pct"] == pytest.approx(50)
    assert found["deviation_pct"] == pytest.approx(100 * share.std(ddof=1))
    assert found["logit_pct"] == pytest.approx(100 * 12 / 16)
    # Class means 0.8, 0.4, 0.3 of a total mean of 0.5.
    between = 2 * (0.3**2 + 0.1**2 + 0.2**2)
    assert found["between_classes_pct"] == pytest.approx(100 * between / ((share - 0.5) ** 2).sum())
    # Left alone right: 0.9, 0.7. Right alone: 0.6, 0.2.
    assert found["auc"] == 1
    assert found["constant_points"] == pytest.approx(100 * (4 - 3) / 6)
    assert found["permuted_points"] == pytest.approx(100 * (4 - 2) / 6)


def test_the_auc_is_the_share_of_pairs_in_order():
    generator = np.random.default_rng(3)
    share, left, right = generator.random(80).round(1), generator.integers(0, 2, 80), generator.integers(0, 2, 80)
    table = made(0, share=share, left_right=left, right_right=right)
    auc = weighting(table, "fine")["auc"]["mean"]
    apart = left != right
    assert auc == pytest.approx(roc_auc_score(left[apart], share[apart]))
    first, second = share[apart & (left == 1)], share[apart & (left == 0)]
    pairs = [(one > other) + 0.5 * (one == other) for one in first for other in second]
    assert auc == pytest.approx(np.mean(pairs)) and 0.3 < auc < 0.7


def test_it_is_summarised_over_seeds_and_levels_are_apart():
    other = made(1, share=[0.2, 0.4], label=[0, 1])
    coarse = made(0, share=[0.99, 0.98]).assign(level="coarse")
    found = weighting(pd.concat([TABLE, other, coarse]), "fine")
    assert found["share_pct"]["n"] == 2 and found["share_pct"]["mean"] == pytest.approx((50 + 30) / 2)
    # Nobody is right alone in seed 1: no order; each image is a class of its own.
    assert found["auc"]["n"] == 1 and found["auc"]["mean"] == pytest.approx(1)
    assert weighting(other, "fine")["between_classes_pct"]["mean"] == pytest.approx(100)


def test_equal_shares_have_nothing_to_explain():
    found = weighting(made(0, share=[0.5, 0.5], label=[0, 1]), "fine")
    assert found["between_classes_pct"]["mean"] == 0 and found["deviation_pct"]["mean"] == 0


@pytest.mark.parametrize("right", [[0, 0], [1, 1]])
def test_the_sentence_is_whole_when_a_head_is_always_or_never_right(right):
    table = made(0, share=[0.5, 0.6], right=right)
    text = head_shares.tell(pd.concat([table, table.assign(level="coarse")]))
    assert "75 % comes from left, and of what sets its classes apart 55 %" in text and "nan" not in text
    assert "that the coarse head decides by" in text and "no image tells" in text


def test_the_labels_of_a_class_are_what_the_head_is_asked_for(computed):
    _, table = computed
    assert set(table.loc[table["level"] == "coarse", "label"]) == {0, 1, 2}
    assert torch.tensor(table["share"].to_numpy()).clamp(0, 1).sum().item() == pytest.approx(table["share"].sum())
