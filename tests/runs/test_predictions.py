import numpy as np
import pytest
import torch

from bilateral.base.errors import OutputError
from bilateral.data.hierarchy import LabelHierarchy
from bilateral.runs.predictions import Predictions, ensemble, hemispheres_ensemble, side_by_side
from conftest import COARSE_OF_FINE

HIERARCHY = LabelHierarchy(tuple("abcdef"), ("x", "y", "z"), COARSE_OF_FINE)
COUNT = 40


def predictions(seed, levels=("fine", "coarse")):
    generator = torch.Generator().manual_seed(seed)
    logits = {level: 3 * torch.randn(COUNT, {"fine": 6, "coarse": 3}[level], generator=generator) for level in levels}
    fine = torch.arange(COUNT) % 6
    return Predictions(logits, {"fine": fine, "coarse": torch.tensor(COARSE_OF_FINE)[fine]})


def same(labels, others):
    return list(labels) == list(others) and all(torch.equal(labels[level], others[level]) for level in others)


def softmax(logits):
    exponentials = np.exp(logits.double().numpy())
    return exponentials / exponentials.sum(1, keepdims=True)


@pytest.mark.parametrize("levels", [["fine", "coarse"], ["fine"], ["coarse"]])
def test_what_is_saved_is_loaded_to_the_last_bit(tmp_path, levels):
    saved = predictions(0, levels)
    saved.save(tmp_path / "new" / "predictions.npz")
    loaded = Predictions.load(tmp_path / "new" / "predictions.npz")
    assert same(loaded.logits, saved.logits) and same(loaded.labels, saved.labels)
    assert {values.dtype for values in loaded.logits.values()} == {torch.float32}
    assert {values.dtype for values in loaded.labels.values()} == {torch.int64}


def test_labels_beyond_a_byte_are_kept(tmp_path):
    labels = {"fine": torch.tensor([0, 255, 256, 70_000]), "coarse": torch.tensor([0, 1, 2, 300])}
    Predictions({"coarse": torch.zeros(4, 301)}, labels).save(tmp_path / "p.npz")
    loaded = Predictions.load(tmp_path / "p.npz").labels
    assert same(loaded, labels)


def test_the_file_has_the_documented_names(tmp_path):
    predictions(0).save(tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as file:
        assert sorted(file.files) == ["labels_coarse", "labels_fine", "logits_coarse", "logits_fine"]
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(OutputError, match=r"predictions .*nothing\.npz"):
        Predictions.load(tmp_path / "nothing.npz")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, share):
    path = tmp_path / "p.npz"
    predictions(0).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(OutputError, match=r"predictions .*p\.npz.*the command that made the run makes them again"):
        Predictions.load(path)


def test_a_file_with_a_damaged_byte_is_an_error_that_names_it_or_gives_the_same(tmp_path):
    path, saved, refused = tmp_path / "p.npz", predictions(0), 0
    saved.save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([255 - whole[place]]) + whole[place + 1 :])
        try:
            loaded = Predictions.load(path)
        except OutputError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert same(loaded.logits, saved.logits) and same(loaded.labels, saved.labels), place
    assert refused > 0.7 * len(whole) / 5


@pytest.mark.parametrize("what", ["text", "array", "other names", "words", "pickle"])
def test_a_foreign_file_is_an_error_that_names_it(tmp_path, what):
    path = tmp_path / "p.npz"
    with path.open("wb") as file:
        if what == "text":
            file.write(b"fine,coarse\n")
        elif what == "array":
            np.save(file, np.zeros(3))
        else:
            foreign = {"other names": np.zeros(3), "words": np.array(["a"]), "pickle": np.array([{}])}
            np.savez(file, x=foreign[what])
    with pytest.raises(OutputError, match=r"predictions .*p\.npz"):
        Predictions.load(path)


def test_side_by_side_takes_fine_from_the_left_and_coarse_from_the_right():
    left, right = predictions(1), predictions(2)
    joined = side_by_side([left, right], HIERARCHY)
    assert torch.equal(joined.logits["fine"], left.logits["fine"])
    assert torch.equal(joined.logits["coarse"], right.logits["coarse"])
    assert same(joined.labels, left.labels)
    alone = side_by_side([predictions(1, ["fine"]), predictions(2, ["coarse"])], HIERARCHY)
    assert list(alone.logits) == ["fine", "coarse"]


@pytest.mark.parametrize("count", [2, 3])
def test_an_ensemble_of_logits_is_their_mean(count):
    members = [predictions(seed) for seed in range(count)]
    joined = ensemble(members, HIERARCHY, "logits")
    for level in ("fine", "coarse"):
        expected = np.mean([member.logits[level].double().numpy() for member in members], axis=0)
        np.testing.assert_allclose(joined.logits[level].numpy(), expected, atol=1e-5)
    assert same(joined.labels, members[0].labels)


@pytest.mark.parametrize("count", [2, 3])
def test_an_ensemble_of_probabilities_is_their_mean(count):
    members = [predictions(seed) for seed in range(count)]
    joined = ensemble(members, HIERARCHY, "probabilities")
    for level in ("fine", "coarse"):
        expected = np.mean([softmax(member.logits[level]) for member in members], axis=0)
        np.testing.assert_allclose(softmax(joined.logits[level]), expected, atol=1e-6)


def test_an_ensemble_has_the_levels_that_all_members_have():
    assert list(ensemble([predictions(0), predictions(1, ["coarse"])], HIERARCHY, "logits").logits) == ["coarse"]


def test_the_hemispheres_ensemble_is_the_mean_of_what_each_says_of_both_levels():
    left, right = predictions(1, ["fine"]), predictions(2, ["coarse"])
    joined = hemispheres_ensemble([left, right], HIERARCHY)
    fine, coarse = np.exp(joined.logits["fine"].numpy()), np.exp(joined.logits["coarse"].numpy())
    of_left, of_right = softmax(left.logits["fine"]), softmax(right.logits["coarse"])
    rolled_up = np.stack([of_left[:, :2].sum(1), of_left[:, 2:4].sum(1), of_left[:, 4:].sum(1)], 1)
    within = of_left / rolled_up.repeat(2, axis=1)
    np.testing.assert_allclose(coarse, (rolled_up + of_right) / 2, atol=1e-6)
    np.testing.assert_allclose(fine, (of_left + within * of_right.repeat(2, axis=1)) / 2, atol=1e-6)
    np.testing.assert_allclose(fine.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(coarse.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(fine[:, ::2] + fine[:, 1::2], coarse, atol=1e-6)
    assert same(joined.labels, left.labels)


def test_the_hemispheres_ensemble_follows_a_hierarchy_in_any_order():
    mixed = LabelHierarchy(tuple("abcdef"), ("x", "y", "z"), (2, 0, 1, 0, 0, 2))
    left, right = predictions(3, ["fine"]), predictions(4, ["coarse"])
    joined = hemispheres_ensemble([left, right], mixed)
    fine, coarse = np.exp(joined.logits["fine"].numpy()), np.exp(joined.logits["coarse"].numpy())
    sums = np.stack([fine[:, [1, 3, 4]].sum(1), fine[:, 2], fine[:, [0, 5]].sum(1)], 1)
    np.testing.assert_allclose(sums, coarse, atol=1e-6)
    of_left = softmax(left.logits["fine"])
    rolled_up = np.stack([of_left[:, [1, 3, 4]].sum(1), of_left[:, 2], of_left[:, [0, 5]].sum(1)], 1)
    np.testing.assert_allclose(coarse, (rolled_up + softmax(right.logits["coarse"])) / 2, atol=1e-6)


def test_accuracy_by_hand():
    logits = torch.tensor([[3.0, 1.0], [3.0, 1.0], [0.0, 1.0], [0.0, 9.0]])
    labels = torch.tensor([0, 1, 1, 1])
    said = Predictions({"coarse": logits}, {"coarse": labels})
    assert said.correct("coarse").tolist() == [True, False, True, True] and said.accuracy_pct("coarse") == 75
