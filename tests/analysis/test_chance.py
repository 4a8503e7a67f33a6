"""Networks that guess: an analysis says so, and concludes nothing. Of others it says what it said before."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from bilateral.analysis.base import ANALYSES, Analysis, find_analysis
from bilateral.analysis.chance import Answers, conclusion
from bilateral.analysis.opening import open_study
from bilateral.analysis.running import analyse, read_table
from bilateral.analysis.study import Study
from conftest import INAPPLICABLE

from . import handmade

TRUTH = list(range(6)) * 8
KNOWING = {"left_fine": 40, "right_coarse": 40, "bilateral_fine": 40, "bilateral_coarse": 40}
"""Images that each names correctly, by who and level."""


def made(*seeds: dict[str, int], truth: list[int] = TRUTH) -> Study:
    """A study of networks that name the first so many images correctly (see KNOWING), a dict a seed."""
    said = {}
    for seed, known in enumerate(seeds):
        answers: dict[str, dict] = {"left": {}, "right": {}, "bilateral": {}}
        for name, count in known.items():
            who, level = name.split("_")
            answers[who][level] = [int(place < count) for place in range(len(truth))]
        said[seed] = {who: handmade.judged(truth, **levels) for who, levels in answers.items()}
    return handmade.study(said)


def concluded(study: Study, *rests_on: str, readouts: dict[str, float] | None = None) -> str:
    asked = Analysis(
        "mine", "Mine", "Why?", len, repr, lambda table: "It is so.", rests_on, lambda table: readouts or {}
    )
    sentence, at_chance = conclusion(study, asked, pd.DataFrame())
    assert at_chance == (sentence != "It is so.")
    return sentence


@pytest.fixture(scope="module")
def hardly(tiny_analysed) -> dict[str, dict]:
    """What the analyses say of real networks of two epochs and two seeds, by name."""
    names = set(ANALYSES) - INAPPLICABLE
    return {name: json.loads((tiny_analysed / "analysis" / f"{name}.json").read_text()) for name in names}


@pytest.mark.slow
def test_networks_that_hardly_learnt_give_no_conclusion(tiny_analysed, hardly):
    study = open_study([tiny_analysed])
    said = {row: study.predictions(row).values() for row in ("specialised", "left", "right")}
    fine, coarse, left, right = (
        f"{sum(each.accuracy_pct(level) for each in said[row]) / 2:.1f} %"
        for row, level in (("specialised", "fine"), ("specialised", "coarse"), ("left", "fine"), ("right", "coarse"))
    )
    images = "of 80 test images, mean of 2 seeds; chance is 2.5 %"
    nothing = "this analysis says nothing about them yet."
    sides, both = "alone on fine labels and right alone on coarse labels are", "The fine head and the coarse head are"
    expected = dict.fromkeys(hardly, f"{both} at chance ({fine} and {coarse} {images} and 12.5 %): {nothing}") | {
        "cka": f"Left {sides} at chance ({left} and {right} {images} and 12.5 %): {nothing}",
        "severity": f"The fine head is at chance ({fine} {images}): {nothing.replace('them', 'it')}",
        "outcomes": f"The fine head, the coarse head, left {sides} at chance ({fine}, {coarse}, {left} and {right} "
        f"{images}, 12.5 %, 2.5 % and 12.5 %): {nothing}",
    }
    expected |= {"cosine": expected["cka"], "confusion": expected["severity"]}
    for name in ("specialisation", "probes"):  # which rest on readouts, too
        expected[name] = hardly[name]["sentence"]
        assert "the linear readout of fine labels and the linear readout of coarse labels are" in expected[name].lower()
    for name, result in hardly.items():
        assert result["at_chance"] == (name not in ("parts", "gallery"))
        assert result["sentence"] == expected[name] or not result["at_chance"]
        assert set(result["digests"]) == {"csv", "svg", "png"}  # the table and the figure stay


def test_a_trained_network_is_told_of_as_before(tmp_path, monkeypatch):
    """The one that comes with the package, on few images."""
    monkeypatch.chdir(tmp_path)
    study = open_study(["shapes-small"], ["data.shapes.train_per_class=6", "data.shapes.test_per_class=2"])
    for result in analyse(study, map(find_analysis, ("outcomes", "lesions", "probes")), Path("analysis")):
        assert result.sentence == find_analysis(result.name).tell(read_table(Path("analysis"), result))
        assert not result.at_chance
        if result.name == "outcomes":
            assert re.match(
                r"The fine head corrects \d+\.\d % of the mistakes that left alone makes, and", result.sentence
            )


@pytest.mark.parametrize(
    ("right", "images", "chance_pct", "at_chance"),
    [
        (52, 2000, 2.5, True),
        (60, 2000, 2.5, True),
        (62, 2000, 2.5, True),  # p 0.053
        (63, 2000, 2.5, False),  # p 0.040
        (20, 2000, 2.5, True),
        (1, 10, 2.5, True),
        (2, 10, 2.5, False),
        (10, 10, 100, True),
    ],
)
def test_better_than_chance_is_an_exact_one_sided_test(right, images, chance_pct, at_chance):
    assert Answers("she", 100 * right / images, images, chance_pct).at_chance == at_chance


def test_who_is_at_chance_is_named_and_nobody_else():
    assert concluded(made(KNOWING), "fine", "coarse", "left", "right") == "It is so."
    guessing = made(KNOWING | {"bilateral_fine": 8})
    assert concluded(guessing, "coarse", "left", "right") == "It is so." == concluded(guessing)
    assert concluded(guessing, "fine", "coarse") == (
        "The fine head is at chance (16.7 % of 48 test images; chance is 16.7 %): this analysis says nothing about it "
        "yet."
    )
    assert concluded(made(KNOWING | {"right_coarse": 16}), "left", "right").startswith(
        "Right alone on coarse labels is at chance (33.3 % of 48 test images; chance is 33.3 %)"
    )


def test_naming_the_commonest_class_is_no_knowledge():
    truth = [0] * 24 + [1, 2, 3, 4, 5, 5]
    assert "(80.0 % of 30 test images; chance is 80.0 %)" in concluded(
        made({"bilateral_fine": 24}, truth=truth), "fine"
    )
    assert concluded(made({"bilateral_fine": 24}, truth=TRUTH), "fine") == "It is so."


def test_seeds_count_as_one_network():
    """Twelve of 48 each: p 0.09, and 0.007 if the seeds' images were added up."""
    known = {"bilateral_fine": 12}
    assert "(25.0 % of 48 test images, mean of 3 seeds; " in concluded(made(known, known, known), "fine")
    assert concluded(made(known, {"bilateral_fine": 40}), "fine") == "It is so."


def test_the_heads_answer_for_sides_that_were_not_trained_apart():
    study = made(KNOWING | {"bilateral_coarse": 16})
    assert concluded(study, "left", "right") == "It is so."
    for system in study.systems:
        object.__setattr__(system, "alone", {})
    assert concluded(study, "left", "right").startswith("The coarse head is at chance")


def test_a_readout_may_be_at_chance():
    assert concluded(made(KNOWING), "fine", readouts={"fine": 50.0, "coarse": 50.0}) == "It is so."
    assert concluded(made(KNOWING), "fine", readouts={"fine": 20.0, "coarse": 50.0}) == (
        "The linear readout of fine labels is at chance (20.0 % of 48 test images; chance is 16.7 %): this analysis "
        "says nothing about it yet."
    )
