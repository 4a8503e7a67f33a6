"""Rows that are made from others in the config."""

import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.experiments.experiment import Experiment
from bilateral.experiments.published import DEFAULT
from bilateral.experiments.rows import plan_rows
from bilateral.experiments.twice import twice_as_long
from bilateral.runs.config import check_config
from bilateral.runs.runner import Runner
from bilateral.runs.scheduling import with_parents
from bilateral.runs.stored import StoredRun
from bilateral.runs.workers import local

SMALL = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}
VALUES = {"training": {"epochs": 4}, "pretraining": {"left": {"epochs": 3}}}


def config(variants, experiment=None, **values):
    given = {"model": SMALL, **VALUES, **values, "experiment": {**(experiment or {}), "variants": variants}}
    return check_config(given, "test")


def plan(tiny, variants, experiment=None, **values):
    return {row.name: row for row in plan_rows(config(variants, experiment, **values), tiny)}


def identities(tiny, row):
    return [Runner(tiny).identity(run) for run in row.runs[0]]


def test_variants_stand_after_the_published_rows_by_their_titles(tiny):
    rows = plan(tiny, {"mine": {"from": "left", "title": "my own", "set": {"model.left.width": 0.125}}})
    assert list(rows)[-2:] == ["hemispheres_ensemble", "mine"] and len(rows) == len(DEFAULT) + 2
    assert rows["mine"].title == "my own"
    named = {"rows": ["mine", "left"], "titles": {"left": "the left one", "mine": "called otherwise"}}
    rows = plan(tiny, {"mine": {"from": "left", "set": {"model.left.width": 0.125}}}, named)
    assert {row.name: row.title for row in rows.values()} == {"mine": "called otherwise", "left": "the left one"}


@pytest.mark.parametrize("base", [*(name for name in DEFAULT if name != "ensemble"), "ensemble_3"])
def test_a_variant_is_the_row_of_an_experiment_with_its_settings(tiny, base):
    settings = {"model.left.width": 0.09375, "training.epochs": 6, "experiment.end_to_end.label_smoothing": 0.1}
    variant = plan(tiny, {"mine": {"from": base, "set": settings}}, {"rows": ["mine"]})["mine"]
    own = check_config(
        {
            "model": {"left": {"width": 0.09375}, "right": {"width": 0.0625}},
            **VALUES,
            "training": {"epochs": 6},
            "experiment": {"rows": [base], "end_to_end": {"label_smoothing": 0.1}},
        },
        "own",
    )
    (row,) = plan_rows(own, tiny)
    assert identities(tiny, variant) == identities(tiny, row)
    assert [run.group for run in variant.runs[0]] == [run.group for run in row.runs[0]]
    (published,) = plan(tiny, {}, {"rows": [base]}).values()
    assert set(identities(tiny, variant)) & set(identities(tiny, published)) <= set(identities(tiny, published)[1:])


def test_parents_that_a_variant_does_not_change_are_shared_and_trained_once(tiny):
    variants = {
        "narrow": {"from": "specialised", "set": {"model.left.width": 0.125}},
        "tuned": {"from": "fine_tuned", "set": {"experiment.fine_tuning.epochs": 1}},
        "heads": {"from": "specialised", "set": {"training.label_smoothing": 0.1, "pretraining.right": {}}},
    }
    rows = plan(tiny, variants, {"rows": ["left", "right", "specialised", *variants]}, pretraining={"right": {"lr": 1}})
    (left,), (right,), (specialised,) = (rows[name].runs[0] for name in ("left", "right", "specialised"))
    (narrow,), (tuned,), (heads,) = (rows[name].runs[0] for name in variants)
    assert narrow.parents["hemispheres.right"] == right and narrow.parents["hemispheres.left"] != left
    assert tuned.parents == {"": specialised}
    assert heads.parents["hemispheres.left"].config.training.label_smoothing == 0.1
    runner = Runner(tiny)
    runs = with_parents(runner, [run for row in rows.values() for run in row.runs[0]])
    assert sorted(run.role for run in runs.values()) == sorted(
        ["left", "right", "specialised", "narrow: left", "narrow", "tuned", "heads: left", "heads: right", "heads"]
    )


def test_a_variant_that_changes_nothing_is_the_row_itself(tiny):
    rows = plan(
        tiny, {"same": {"from": "two_left", "set": {"model.left.width": 0.0625}}}, {"rows": ["same", "two_left"]}
    )
    assert identities(tiny, rows["same"]) == identities(tiny, rows["two_left"])


def test_what_is_computed_of_a_row_is_computed_anew_for_its_variant(tiny):
    variants = {"wide": {"from": "unilateral_wide", "set": {"model.right.width": 0.125}}}
    rows = plan(tiny, variants, {"rows": ["unilateral_wide", "wide"]})
    published, wide = (row.runs[0][0].config.model.left.width for row in rows.values())
    assert wide > published > 0.0625


def test_a_variant_may_train_joined_hemispheres_on_or_take_given_ones(tiny):
    rows = plan(tiny, {"live": {"from": "specialised", "set": {"model.left.freeze": False}}}, {"rows": ["live"]})
    (run,) = rows["live"].runs[0]
    assert [each.freeze for each in run.config.model.hemispheres.values()] == [False, True]
    given = {"given": {"from": "specialised", "set": {"model.left.checkpoint": "a"}}}
    (run,) = plan(tiny, given, {"rows": ["specialised", "given"]})["given"].runs[0]
    assert list(run.parents) == ["hemispheres.right"]


def test_rows_can_be_left_out_and_compared_by_variants_names(tiny):
    variants = {"narrow": {"from": "left", "sweep": {"model.left.width": [0.125, 0.25]}}}
    assert list(plan(tiny, variants, {"rows": ["left", "narrow"], "without": ["narrow_1"]})) == ["left", "narrow_2"]
    family = {"row": "narrow_2", "against": ["left", "narrow_1"]}
    assert list(plan(tiny, variants, {"rows": ["narrow"], "contrasts": family})) == ["narrow_1", "narrow_2"]


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"a": {"from": "specialized", "set": {}}}, r"experiment\.variants\.a\.from: .*did you mean specialised\?"),
        ({"a": {"from": "ensemble", "set": {}}}, r"experiment\.variants\.a\.from: .*did you mean ensemble_2\?"),
        ({"left": {"from": "right", "set": {}}}, "left is the name of a published row"),
        ({"ensemble_7": {"from": "right", "set": {}}}, "ensemble_7 is the name of a published row"),
        ({"ensemble": {"from": "right", "set": {}}}, "ensemble is the name of a published row"),
        (
            {"a": {"from": "unilateral", "set": {"model.left.freeze": False}}},
            r"experiment\.variants\.a\.set: model\.left\.freeze: has no effect",
        ),
        (
            {"a": {"from": "two_left", "set": {"model.left.checkpoint": "x"}}},
            r"experiment\.variants\.a\.set: model\.left\.checkpoint: .*only left, right, specialised take",
        ),
        (
            {"a": {"from": "specialised", "set": {"model.mode_hemis": "unilateral", "model.right": None}}},
            r"experiment\.variants\.a\.set: .*must be bilateral",
        ),
        (
            {"a": {"from": "side_by_side", "set": {"model.left.level": "coarse"}}},
            r"experiment\.variants\.a\.set: model\.left\.level: is coarse, but side_by_side takes",
        ),
    ],
)
def test_variants_that_cannot_be_are_refused(tiny, variants, message):
    with pytest.raises(ConfigError, match=message):
        plan(tiny, variants)


def test_what_a_variants_network_cannot_be_names_the_variant(tiny):
    bridge = {"kind": "additive", "between": {"left": "res1", "right": "res2"}, "projection": "homotopic"}
    given = config({"a": {"from": "specialised", "set": {"model.bridges.callosum": bridge}}}, {"rows": ["left", "a"]})
    with pytest.raises(ConfigError, match=r"^experiment\.variants\.a\.set: model\.bridges\.callosum: projection: "):
        Experiment(given, tiny)


def test_twice_as_long_is_so_for_variants_too(tiny):
    given = config({"a": {"from": "left", "set": {"pretraining.left.epochs": 7}}}, {"rows": ["left", "a"]})
    left, variant = (row.runs[0][0].config.training for row in plan_rows(twice_as_long(given), tiny))
    assert (left.epochs, variant.epochs) == (6, 14)
    assert variant.warmup_epochs == pytest.approx(2.8) and variant.validate_every_epochs == left.validate_every_epochs


def test_a_table_has_variants_as_it_has_rows(tiny, tmp_path):
    given = config(
        {"fast": {"from": "left", "sweep": {"pretraining.left.epochs": [1, 2]}}},
        {"rows": ["left", "fast"], "contrasts": {"row": "left", "against": ["fast"], "measures": ["fine_pct"]}},
        pretraining={"left": {"epochs": 2}},
        save_dir=str(tmp_path),
    )
    work = Experiment(given, tiny)
    table = work.run(local(work.runner, work.runs, 1))
    assert [row.title for row in table.rows] == [
        "left alone",
        "left alone, pretraining.left.epochs=1",
        "left alone, pretraining.left.epochs=2",
    ]
    assert len(list(tmp_path.glob("*/*/run.yaml"))) == 2
    assert table.rows[0].seeds[0].measures == table.rows[2].seeds[0].measures
    assert [contrast.other for contrast in table.contrasts] == ["fast_1", "fast_2"]


def test_a_row_with_lesions_tests_the_network_that_it_is_made_from(tiny, tmp_path):
    cut = {"cut": {"from": "specialised", "set": {"model.lesions.silence.at": "left"}}}
    given = {"training": {"epochs": 1}, "pretraining": {}, "save_dir": str(tmp_path)}
    rows = plan(tiny, cut, {"rows": ["specialised"]}, **given)
    (specialised,), (run,) = rows["specialised"].runs[0], rows["cut"].runs[0]
    assert run.parents == {"": specialised} and not run.config.train
    runner = Runner(tiny)
    whole, silenced = StoredRun.open(runner.run(specialised).folder), StoredRun.open(runner.run(run).folder)
    assert not (silenced.folder / "checkpoints").exists()
    images = whole.description.normalise(tiny.test.images)
    expected = whole.network()(images)
    torch.testing.assert_close(whole.predictions.logits["fine"], expected.fine)
    features = {**expected.features, "left": torch.zeros_like(expected.features["left"])}
    for found in (silenced.predictions.logits["fine"], silenced.network()(images).fine):
        torch.testing.assert_close(found, whole.network().classify(features).fine)


@pytest.mark.parametrize("row", ["fine_tuned", "untrained", "two_left"])
def test_lesions_train_nothing_again(tiny, row):
    cut = {"cut": {"from": row, "set": {"model.lesions.silence.at": "left"}}}
    rows = plan(tiny, cut, {"rows": [row]})
    (whole,), (run,) = rows[row].runs[0], rows["cut"].runs[0]
    assert not run.config.train and [Runner(tiny).identity(each) for each in run.parents.values()] == identities(
        tiny, rows[row]
    )
    runner = Runner(tiny)
    runner.check([run])
    assert whole.config.train
    assert [each.role for each in with_parents(runner, [whole, run]).values()][-2:] == [row, "cut"]


@pytest.mark.parametrize(
    ("row", "changes"),
    [
        ("left", {"model.lesions.silence.at": "left"}),
        ("left", {"model.right.width": 0.5}),
        ("unilateral", {"model.bridges.callosum": {"kind": "additive", "between": {"left": "res1", "right": "res1"}}}),
        ("ensemble_2", {"model.lesions.silence.at": "left"}),
    ],
)
def test_a_variant_of_which_its_row_reads_nothing_is_refused(tiny, row, changes):
    first = ".".join(next(iter(changes)).split(".")[:2])
    with pytest.raises(ConfigError, match=rf"variants\.mine: no network of the row {row} reads {first}"):
        plan(tiny, {"mine": {"from": row, "set": changes}}, {"rows": [row]}, pretraining={"left": {"epochs": 3}})
