import json
from pathlib import Path

import pytest
import torch
import yaml

from bilateral.analysis.opening import open_study
from bilateral.analysis.outcomes import judgements
from bilateral.analysis.study import NotApplicableError
from bilateral.base.errors import OutputError
from bilateral.runs.stored import StoredRun
from conftest import bilateral_runs

from . import handmade

ROWS = ["left", "right", "side_by_side", "specialised", "unilateral_wide"]


def test_an_experiment_has_its_rows_and_says_what_its_table_says(tiny_experiment, monkeypatch):
    monkeypatch.chdir(tiny_experiment)
    study = open_study([Path("runs/quick-experiment")], [])
    assert list(study.rows) == ROWS and study.subject == "specialised"
    assert study.name == "quick" and study.folder == Path("runs/quick-experiment")
    per_row = {row["name"]: row for row in study.table["rows"]}
    for name, row in study.rows.items():
        assert row.title == per_row[name]["title"] and list(row.runs) == [0, 1]
        for seed, said in study.predictions(name).items():
            for level, logits in said.logits.items():
                share = 100 * (logits.argmax(1) == said.labels[level]).double().mean().item()
                assert share == pytest.approx(per_row[name]["by_seed"][str(seed)][f"{level}_pct"])
    assert set(study.predictions("side_by_side")[0].logits) == {"fine", "coarse"}
    first = study.systems[0]
    assert [system.seed for system in study.systems] == [0, 1]
    assert first.left.folder == study.rows["left"].runs[0][0].folder
    assert first.right.folder == study.rows["right"].runs[0][0].folder


def test_networks_and_images_are_those_that_were_tested(tiny_experiment):
    study = open_study([tiny_experiment / "runs" / "quick-experiment"], [])
    assert len(study.images) == 80 and study.hierarchy == study.dataset.hierarchy
    for system in study.systems:
        network = system.network
        assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())
        evaluation = study.evaluation(system)
        assert study.evaluation(system) is evaluation
        for level, logits in evaluation.logits.items():
            torch.testing.assert_close(logits, system.bilateral.predictions.logits[level], atol=1e-4, rtol=1e-4)
        output = network(system.normalise(study.images.images[:7]))
        torch.testing.assert_close(output.fine, evaluation.logits["fine"][:7], atol=1e-4, rtol=1e-4)
        # The hemispheres are those that were trained alone, under the order of sides.
        alone = system.left.network()
        features = alone.features(system.normalise(study.images.images[:7]))["left"]
        torch.testing.assert_close(features, evaluation.features["left"][:7], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 2])
def test_bilateral_runs_are_a_study_too(tiny_experiment, count):
    whole = open_study([tiny_experiment / "runs" / "quick-experiment"], [])
    folders = bilateral_runs(tiny_experiment / "runs")[:count]
    study = open_study(folders[::-1], [])
    assert [system.seed for system in study.systems] == list(range(count))
    assert list(study.rows) == ["left", "right", "side_by_side", "specialised", "hemispheres_ensemble"]
    for name in ("left", "right", "side_by_side", "specialised"):
        for seed, said in study.predictions(name).items():
            expected = whole.predictions(name)[seed].logits
            assert set(said.logits) == set(expected)
            assert all(logits.equal(expected[level]) for level, logits in said.logits.items())
    assert set(study.predictions("hemispheres_ensemble")[0].logits) == {"fine", "coarse"}
    assert study.table is None
    # The folder of a kind of run stands for its runs.
    group = open_study([folders[0].parent], [])
    assert [system.seed for system in group.systems] == [0, 1] and group.folder == folders[0].parent


def test_a_systems_folder_names_its_runs(moved):
    folder = moved / "quick-system"
    folder.mkdir()
    runs = [{"row": "left alone", "seed": 0, "folder": "nowhere"}]
    runs += [
        {"row": "bilateral", "seed": seed, "folder": f"runs/{run.parent.name}/{run.name}"}
        for seed, run in enumerate(bilateral_runs(moved))
    ]
    (folder / "table.json").write_text(json.dumps({"rows": [], "runs": runs}))
    study = open_study([folder], [])
    assert [system.seed for system in study.systems] == [0, 1] and study.folder == folder
    (folder / "table.json").write_text(json.dumps({"rows": [], "runs": runs[:1]}))
    with pytest.raises(OutputError, match="holds no finished runs"):
        open_study([folder], [])


def test_a_system_is_looked_into_by_its_runs_and_an_experiment_that_asks_by_its_rows(moved):
    old, folder = moved / "quick-experiment", moved / "quick-system"
    folder.mkdir()
    provenance, table = (json.loads((old / f"{name}.json").read_text()) for name in ("provenance", "table"))
    names = ("left", "right", "specialised")
    provenance["runs"] = {name: provenance["runs"][name] for name in names}
    (folder / "provenance.json").write_text(json.dumps(provenance))
    (folder / "table.json").write_text(json.dumps(table | {"answer": ""}))
    study = open_study([folder], [])
    assert list(study.rows) == ["left", "right", "side_by_side", "specialised", "hemispheres_ensemble"]
    assert study.rows["specialised"].title == "bilateral" and study.table is None and study.folder == folder
    (folder / "table.json").write_text(json.dumps(table | {"answer": "No verdict."}))
    assert tuple(open_study([folder], []).rows) == names


def test_moved_runs_still_open(tiny_experiment, moved, monkeypatch):
    study = open_study([moved / "quick-experiment"], [])
    for row in study.rows.values():
        for runs in row.runs.values():
            assert all(run.folder.is_relative_to(moved) for run in runs)
    assert study.systems[1].left.folder.is_relative_to(moved) and study.predictions("right")[1]
    monkeypatch.chdir(bilateral_runs(moved)[0])
    here = open_study([Path()], [])
    assert here.systems[0].left.folder.is_relative_to(moved) and here.systems[0].left.predictions
    monkeypatch.chdir(moved / "quick-experiment")
    assert list(open_study([Path()], []).rows) == ROWS


def test_rows_without_runs_are_left_out_and_another_joined_one_is_taken(moved):
    folder = moved / "quick-experiment"
    provenance, table = (json.loads((folder / name).read_text()) for name in ("provenance.json", "table.json"))
    provenance["runs"]["two_left"] = provenance["runs"].pop("specialised")
    provenance["runs"] |= {"left": {}, "ensemble_2": {"0": provenance["runs"]["unilateral_wide"]["0"] * 2}}
    table["rows"] += [{"name": name, "title": f"the {name}"} for name in ("two_left", "ensemble_2")]
    (folder / "provenance.json").write_text(json.dumps(provenance))
    (folder / "table.json").write_text(json.dumps(table))
    study = open_study([folder], [])
    assert study.subject == "two_left" and "left" not in study.rows
    # The ensemble of a network with itself is the network.
    said = study.predictions("ensemble_2")[0].logits["fine"]
    torch.testing.assert_close(said, study.predictions("unilateral_wide")[0].logits["fine"])


def test_a_network_that_was_trained_as_a_whole_is_looked_into_too(moved):
    folder = moved / "quick-experiment"
    provenance, table = (json.loads((folder / name).read_text()) for name in ("provenance.json", "table.json"))
    provenance["runs"]["nonspecialised"] = provenance["runs"].pop("specialised")
    table["rows"] += [{"name": "nonspecialised", "title": "trained as a whole"}]
    (folder / "provenance.json").write_text(json.dumps(provenance))
    (folder / "table.json").write_text(json.dumps(table))
    runs = bilateral_runs(moved)
    for run in runs:
        record = yaml.safe_load((run / "run.yaml").read_text())
        del record["parents"]
        (run / "run.yaml").write_text(yaml.safe_dump(record))
    for study in (open_study([folder], []), open_study([folder], [], "nonspecialised"), open_study(runs, [])):
        assert study.subject in ("nonspecialised", "specialised") and len(study.systems) == 2
        system = study.systems[0]
        assert set(study.evaluation(system).features) == {"left", "right"}
        with pytest.raises(NotApplicableError, match="no run trained the left hemisphere by itself"):
            judgements(system)
    assert list(study.rows) == ["specialised"]


def test_variants_are_rows_of_a_study_too(moved):
    folder = moved / "quick-experiment"
    provenance, table = (json.loads((folder / name).read_text()) for name in ("provenance.json", "table.json"))
    mine = {"side": {"from": "side_by_side", "set": {}}, "mine": {"from": "specialised", "set": {}}}
    provenance["config"]["experiment"]["variants"] = mine
    provenance["runs"] |= {"mine": provenance["runs"]["specialised"], "side": provenance["runs"]["side_by_side"]}
    table["rows"] += [{"name": name, "title": f"the {name}"} for name in mine]
    (folder / "provenance.json").write_text(json.dumps(provenance))
    (folder / "table.json").write_text(json.dumps(table))
    study = open_study([folder], [], "mine")
    assert study.subject == "mine" and study.rows["side"].title == "the side"
    said, published = (study.predictions(name)[1].logits for name in ("side", "side_by_side"))
    assert all(said[level].equal(logits) for level, logits in published.items())


def test_hemispheres_that_were_trained_alike_have_no_outcome_groups():
    fine = handmade.random_predictions(torch.arange(6), 0, ("fine",))
    study = handmade.study(
        {0: {"left": fine, "right": fine, "bilateral": handmade.random_predictions(fine.labels["fine"], 1)}}
    )
    with pytest.raises(NotApplicableError, match="fine and on coarse"):
        judgements(study.systems[0])


def test_a_stored_run_is_opened_from_its_folder(tiny_experiment):
    run = StoredRun.open(bilateral_runs(tiny_experiment / "runs")[0])
    assert run.seed == 0 and set(run.parents()) == {"hemispheres.left", "hemispheres.right"}
