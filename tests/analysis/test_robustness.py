from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from bilateral.analysis import robustness
from bilateral.analysis.activations import native_precision
from bilateral.analysis.robustness import Attacked, by_condition, drops, fgsm, tell
from bilateral.analysis.style import styled
from bilateral.data import corruptions
from bilateral.data.corruptions import CORRUPTIONS, Corruption
from bilateral.experiments.published import find
from conftest import COARSE_OF_FINE, make_images

from . import handmade
from .test_all_analyses import assert_says_something

IMAGES = make_images(6, 1)
SEEDS = (0, 1)


def run_of(name: str, seed: int, asked: list[tuple[str, bool]]):
    """A run in a folder of its own, with a network that is in training mode, and knows its images."""
    network = handmade.network(seed=10 * seed + len(name))
    with torch.no_grad():
        normalised = handmade.stored_run(seed).description.normalise(IMAGES.images)
        handmade.fit_heads(network, network.features(normalised), IMAGES)
    network.train().register_forward_pre_hook(lambda module, _: asked.append((f"{name}{seed}", module.training)))
    made = replace(handmade.stored_run(seed), folder=Path("runs") / name / str(seed))
    made.__dict__.update(network=lambda: network, description=handmade.stored_run(seed).description)
    return made


@pytest.fixture(scope="module")
def made():
    """A study of six rows and three networks a seed, two of which stand in four rows each."""
    asked: list[tuple[str, bool]] = []
    runs = {name: {seed: run_of(name, seed, asked) for seed in SEEDS} for name in ("one", "other", "whole")}
    study = handmade.study({seed: {} for seed in SEEDS}, images=IMAGES)
    pairs = {seed: [runs["one"][seed], runs["other"][seed]] for seed in SEEDS}
    single = {name: {seed: [run] for seed, run in by_seed.items()} for name, by_seed in runs.items()}
    given = {
        "left": single["one"],
        "unilateral": single["other"],
        "specialised": single["whole"],
        "side_by_side": pairs,
        "hemispheres_ensemble": pairs,
        "ensemble_2": pairs,
    }
    rows = {
        name: replace(study.rows["left"], name=name, title=row.title, runs=own, combine=row.combine)
        for name, own in given.items()
        if (row := find(name))
    }
    study = replace(study, rows=rows)
    other = handmade.study({0: {}}, images=IMAGES)
    study.__dict__.update(dataset=other.dataset, systems=other.systems, hierarchy=handmade.HIERARCHY)
    return study, asked


@pytest.fixture(scope="module")
def table(made):
    made[1].clear()
    return robustness.compute(made[0])


def accuracy(table, **chosen):
    for column, value in chosen.items():
        table = table[table[column] == value]
    (found,) = table["accuracy_pct"]
    return found


def test_every_row_has_every_condition_and_level(table):
    conditions = 1 + sum(len(each.severities) for each in CORRUPTIONS.values()) + 2
    assert len(table) == 6 * 2 * conditions * 2 and not table.isna().any().any()
    assert not table.duplicated(["row", "seed", "corruption", "severity", "level"]).any()
    assert (table["images"] == len(IMAGES)).all() and set(table.loc[table["subject"] == 1, "row"]) == {"specialised"}
    assert table["accuracy_pct"].between(0, 100).all()


def test_networks_answer_as_in_evaluation_and_knew_the_clean_images(table):
    assert (table.loc[table["corruption"] == "clean", "accuracy_pct"] == 100).all()


def test_each_network_is_asked_once_a_condition_and_by_attacks_row_by_row(made, table):
    _, asked = made
    clean_and_corrupted = 1 + len(CORRUPTIONS)
    attacks = 1 + len(robustness.ATTACK_STEPS)  # one pass for the gradient
    assert not any(training for _, training in asked)
    names = [name for name, _ in asked]
    in_rows = {"one": 4, "other": 4, "whole": 1}
    for name, rows in in_rows.items():
        assert names.count(f"{name}0") == names.count(f"{name}1") == clean_and_corrupted + attacks * rows


def test_corruption_is_of_the_pixels_and_accuracy_of_what_is_combined(made, table):
    study, _ = made
    for row in ("specialised", "hemispheres_ensemble", "side_by_side"):
        runs = study.rows[row].runs[1]
        changed = corruptions.corrupt("contrast", IMAGES.images, 0.3, torch.arange(len(IMAGES)))
        with native_precision(study.systems[0]), torch.no_grad():
            outputs = [run.network()(run.description.normalise(changed)) for run in runs]
        said = [{level: values.float() for level, values in output.logits.items()} for output in outputs]
        if row == "side_by_side":
            expected = {"fine": said[0]["fine"], "coarse": said[1]["coarse"]}
        elif row == "specialised":
            expected = said[0]
        else:
            of_fine = torch.eye(3)[torch.tensor(COARSE_OF_FINE)]
            fine, coarse = said[0]["fine"].softmax(1), said[1]["coarse"].softmax(1)
            expected = {"coarse": fine @ of_fine + coarse}
        for level, values in expected.items():
            right = 100 * (values.argmax(1) == getattr(IMAGES, level)).double().mean().item()
            assert accuracy(table, row=row, seed=1, corruption="contrast", level=level) == pytest.approx(right)


@pytest.mark.parametrize("row", ["ensemble_2", "side_by_side", "specialised"])
def test_a_row_is_attacked_as_it_is_combined(made, table, row):
    study, _ = made
    networks = [(run.network().eval(), run.description.normalise) for run in study.rows[row].runs[0]]
    own = Attacked(networks, study.rows[row].combine, handmade.HIERARCHY)
    labels = {"fine": IMAGES.fine, "coarse": IMAGES.coarse}
    with native_precision(study.systems[0]):
        (said,) = fgsm(own, IMAGES.images, labels, [2 / 255], handmade.CPU)
    for level in labels:
        found = accuracy(table, row=row, seed=0, corruption="fgsm", severity=2, level=level)
        assert found == pytest.approx(said.accuracy_pct(level))


def test_corruption_and_attack_cost_accuracy(table):
    means = table.groupby(["corruption", "severity"])["accuracy_pct"].mean()
    assert means["gaussian_noise"].item() < 99 and means["fgsm", 2] < means["fgsm", 1] < 100
    own = table[(table["row"] == "ensemble_2") & (table["corruption"] == "occlusion")]
    assert own["accuracy_pct"].mean() < 99


def test_few_images_of_many_are_taken_over_all_of_them(made, monkeypatch):
    monkeypatch.setattr(robustness, "IMAGES", 4)
    numbers: list[int] = []
    seen: list[torch.Tensor] = []

    def noting(images, severity, generators):
        numbers.extend(generator.initial_seed() for generator in generators())
        seen.append(images)
        return images

    monkeypatch.setattr("bilateral.analysis.robustness.CORRUPTIONS", {"gaussian_noise": CORRUPTIONS["gaussian_noise"]})
    monkeypatch.setitem(CORRUPTIONS, "gaussian_noise", Corruption(noting, "of it", (1.0,)))
    monkeypatch.setattr("bilateral.data.corruptions.derive_seed", lambda seed, name, number: number)
    found = robustness.compute(made[0])
    assert (found["images"] == 4).all() and numbers[:4] == [0, 12, 23, 35]
    assert torch.allclose(255 * seen[0], IMAGES.images[numbers[:4]].float())


def test_the_summary_is_mean_and_deviation_over_seeds(table):
    for level in ("fine", "coarse"):
        found = by_condition(table, level)
        assert list(found) == list(dict.fromkeys(table["title"]))
        by_seed = [accuracy(table, row="left", seed=s, corruption="fgsm", severity=2, level=level) for s in SEEDS]
        summary = found["left alone"]["FGSM, 2 of 255 (step)"]
        assert summary["mean"] == pytest.approx(sum(by_seed) / 2)
        assert summary["std"] == pytest.approx(abs(by_seed[0] - by_seed[1]) / 2**0.5)
    assert list(found["left alone"])[:2] == ["clean", "Gaussian noise, 0.08 of the range (deviation)"]


def lines(losses: dict[str, list[float]], level: str = "fine") -> pd.DataFrame:
    """A table in which two conditions bring a row down by half and by one and a half times its loss, by seed."""
    made = []
    for row, by_seed in losses.items():
        for seed, loss in enumerate(by_seed):
            begin = (row, find(row).title, int(row == "specialised"), seed, 2000)
            for condition, value in (
                (("clean", 0, "no change"), 90),
                (("contrast", 0.3, "of the contrast"), 90 - loss / 2),
                (("fgsm", 1, "of 255"), 90 - 1.5 * loss),
            ):
                made.append((*begin, *condition, level, value))
    columns = ["row", "title", "subject", "seed", "images", "corruption", "severity", "unit", "level", "accuracy_pct"]
    return pd.DataFrame(made, columns=columns)


def test_the_sentence_pairs_seeds_and_is_neutral():
    losses = {
        "specialised": [10.0, 20.0, 30.0],
        "unilateral": [15.0, 25.0, 35.1],
        "unilateral_wide": [8.0, 18.1, 28.0],
        "nonspecialised": [9.0, 25.0, 27.0],
        "two_left": [10.0, 20.0, 30.0],
        "two_right": [50.0, 50.0, 50.0],
    }
    found = lines(losses)
    assert drops(found, "fine").loc["unilateral"].tolist() == pytest.approx(losses["unilateral"])
    text = tell(found)
    assert text.startswith("“bilateral, specialised” loses 20.0 points of fine accuracy on average over 2 corruptions")
    assert "“one hemisphere, both heads” loses more (+5.03, 95 % interval 4.89 to 5.18)" in text
    assert "“one wider hemisphere, same size as bilateral” loses less (-1.97, " in text
    assert "“bilateral, not specialised” is too close to call (+0.33, 95 % interval -10.0" in text
    assert "“bilateral, two left hemispheres” is too close to call (+0.00, 95 % interval 0.00 to 0.00)" in text
    assert "two right" not in text
    assert_says_something(text)


def test_one_seed_no_control_and_coarse_labels_alone_are_told():
    one = tell(lines({"specialised": [10.0], "two_left": [12.0]}))
    assert "“bilateral, two left hemispheres” loses 12.0 (one seed)." in one and "too close" not in one
    alone = tell(lines({"specialised": [10.0, 11.0]}, "coarse"))
    assert "10.5 points of coarse accuracy" in alone and alone.endswith("There is no control to compare that with.")
    unpaired = lines({"specialised": [10.0, 11.0], "two_left": [12.0, 13.0]})
    apart = unpaired[(unpaired["row"] != "specialised") | (unpaired["seed"] == 0)]
    apart = apart[(apart["row"] != "two_left") | (apart["seed"] == 1)]
    assert "“bilateral, two left hemispheres” has no seed in common." in tell(apart)


def test_the_figure_has_a_panel_a_condition_and_a_mark_a_row_and_level(table):
    with styled():
        figure = robustness.draw(table)
        figure.draw_without_rendering()
    shown = [panel for panel in figure.axes if panel.get_visible()]
    assert len(shown) == 9 and [len(panel.containers) for panel in shown] == [12] * 9
    assert shown[0].get_title() == "clean" and "of the contrast" in shown[3].get_title()
    fine = by_condition(table)["left alone"]["clean"]["mean"]
    (mark,) = [each[0] for each in shown[0].containers if each[0].get_ydata()[0] == 0 and each[0].get_mfc() != "none"]
    assert mark.get_xdata()[0] == fine
