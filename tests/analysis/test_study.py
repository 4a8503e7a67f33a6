import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from bilateral.analysis.opening import open_study
from bilateral.analysis.outcomes import judgements
from bilateral.analysis.study import NotApplicableError
from bilateral.base.errors import BilateralError, ConfigError, DataError, OutputError
from bilateral.runs.predictions import Predictions
from bilateral.runs.stored import StoredRun

from . import handmade

ROWS = ["left", "right", "side_by_side", "specialised", "unilateral_wide"]


@pytest.fixture
def moved(tiny_experiment, tmp_path) -> Path:
    """The experiment's runs, at another place."""
    return shutil.copytree(tiny_experiment / "runs", tmp_path / "elsewhere")


def bilateral_runs(runs: Path) -> list[Path]:
    return sorted(runs.glob("quick-bilateral-*/*-seed*"))


def error_of(error: type[BilateralError], *arguments) -> str:
    with pytest.raises(error) as caught:
        open_study(*arguments).dataset  # noqa: B018
    text = str(caught.value)
    assert text and "\n" not in text and not text.endswith(".")
    return text


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
    assert "holds no finished runs" in error_of(OutputError, [folder], [])


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


def test_what_is_no_study_is_told_in_a_sentence(moved, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no finished runs" in error_of(OutputError, [empty], [])
    left = next(moved.glob("quick-unilateral-*-fine/*-seed0-*"))
    assert "no bilateral network" in error_of(OutputError, [left], [])
    assert "no bilateral network" in error_of(OutputError, [left.parent], [])
    wide = next(moved.glob("quick.unilateral_wide-*/*-seed0-*"))
    assert "no bilateral network" in error_of(OutputError, [wide], [])
    first, second = bilateral_runs(moved)
    twice = tmp_path / "elsewhere" / "other" / first.name
    shutil.copytree(first, twice)
    assert "same seed" in error_of(OutputError, [first, twice, second], [])
    assert "not of one kind" in error_of(OutputError, [left, second], [])


def test_unfinished_runs_are_told(moved):
    first, second = bilateral_runs(moved)
    (first / "run.yaml").unlink()
    assert f"{first} is no finished run" in error_of(OutputError, [moved / "quick-experiment"], [])
    assert "no finished runs" in error_of(OutputError, [first], [])
    assert [system.seed for system in open_study([first.parent], []).systems] == [1]
    parent = next(moved.glob("quick-unilateral-*-fine/*-seed1-*"))
    (parent / "run.yaml").write_text("half a rec")
    assert "is no record of a run" in error_of(OutputError, [second], [])


@pytest.mark.parametrize("name", ["provenance.json", "table.json"])
@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"runs": {'])
def test_a_damaged_experiment_is_told(moved, name, content):
    path = moved / "quick-experiment" / name
    path.unlink() if content is None else path.write_text(content)
    text = error_of(OutputError, [path.parent], [])
    assert str(path.parent) in text


def changed(path: Path, change) -> None:
    """Change a JSON file in place."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.update(runs=[]),
        lambda found: found.update(config="x"),
        lambda found: found["runs"].update(unknown=found["runs"]["left"]),
        lambda found: found["runs"]["left"].update(x=found["runs"]["left"]["0"]),
        lambda found: found["runs"]["left"].update({"0": []}),
        lambda found: found["runs"]["left"].update({"0": [5]}),
        lambda found: found["runs"]["left"].update({"0": found["runs"]["left"]["0"] * 2}),
        lambda found: found["runs"]["left"].update({"0": ["run"]}),
        lambda found: found["runs"]["left"].update({"0": ["../.."]}),
        lambda found: found["runs"]["left"].update({"0": ["runs/../.."]}),
        lambda found: found["runs"]["left"].update({"0": ["/etc"]}),
        lambda found: found["runs"]["left"].update({"0": ["runs/a\0/b"]}),
        lambda found: found["config"].update(deep=json.loads("[" * 900 + "]" * 900)),
    ],
)
def test_a_provenance_that_somebody_changed_is_told(moved, change):
    folder = moved / "quick-experiment"
    changed(folder / "provenance.json", change)
    with pytest.raises(BilateralError) as caught:
        open_study([folder], [])
    assert caught.value.exit_code == 2 and str(folder / "provenance.json") in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.update(rows={}),
        lambda found: found["rows"][0].pop("title"),
        lambda found: found["rows"][0].update(title=5),
        lambda found: found["rows"][0].update(training_pflops=float("nan")),
        lambda found: found["contrasts"][0].update(measure="length"),
        lambda found: found["contrasts"][0]["difference"].update(mean="much"),
        lambda found: found["contrasts"][0]["difference"].update(ci95=[1]),
        lambda found: found["rows"][0]["by_seed"]["0"].update(fine_pct="all"),
    ],
)
def test_a_table_that_somebody_changed_is_told(moved, change):
    path = moved / "quick-experiment" / "table.json"
    changed(path, change)
    assert f"cannot read {path}: " in error_of(OutputError, [path.parent], [])


def test_recorded_folders_are_looked_for_beside_the_experiment_alone(moved, tiny_experiment, tmp_path):
    elsewhere = shutil.copytree(tiny_experiment / "runs", tmp_path / "others")
    folder = moved / "quick-experiment"
    run = next(moved.glob("quick-unilateral-*-fine/*-seed0-*"))
    recorded = elsewhere / run.parent.name / run.name
    changed(folder / "provenance.json", lambda found: found["runs"]["left"].update({"0": [str(recorded)]}))
    assert open_study([folder], []).rows["left"].runs[0][0].folder == run
    shutil.rmtree(run)
    assert f"{run} is no finished run" in error_of(OutputError, [folder], [])


@pytest.mark.parametrize("key", ["data.name", "model.left.arch"])
def test_code_that_a_stored_config_names_is_not_run(moved, key, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("import pathlib\npathlib.Path('ran').touch()\ndef load(config): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    folder, run = moved / "quick-experiment", bilateral_runs(moved)[0]

    def name(config):
        *sections, last = key.split(".")
        for section in sections:
            config = config[section]
        config[last] = "evil:load"

    changed(folder / "provenance.json", lambda found: name(found["config"]))
    config = yaml.safe_load((run / "config.yaml").read_text())
    name(config)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    for path in (folder, run):
        assert "names code that is not part of bilateral, 'evil:load'" in error_of(ConfigError, [path], [])
        assert open_study([path], [], None, ["evil:load"]).config and not (tmp_path / "ran").exists()
    if key == "data.name":
        assert open_study([folder], ["data.name=evil:load"]).config.data.name == "evil:load"


def test_nothing_is_downloaded_because_a_file_says_so(moved):
    folder, run = moved / "quick-experiment", bilateral_runs(moved)[0]
    changed(folder / "provenance.json", lambda found: found["config"]["data"].update(download=True))
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["download"] = True
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    for path in (folder, run):
        assert open_study([path], []).config.data.download is False
        assert open_study([path], ["data.download=true"]).config.data.download is True


@pytest.mark.parametrize("key", ["id", "kind", "seed", "data", "parents", "machine"])
@pytest.mark.parametrize("value", [None, ["x"]])
def test_a_record_with_other_kinds_of_values_is_told(moved, key, value):
    run = bilateral_runs(moved)[0]
    record = yaml.safe_load((run / "run.yaml").read_text())
    (run / "run.yaml").write_text(yaml.safe_dump({**record, key: value}))
    assert f"{run / 'run.yaml'} is no record of a run ({key}" in error_of(OutputError, [run], [])


def test_predictions_of_other_images_are_told(moved):
    folder = moved / "quick-experiment"
    path = next(moved.glob("quick-unilateral-*-fine/*-seed0-*")) / "predictions.npz"
    said = Predictions.load(path)
    fine, labels = said.logits["fine"], said.labels
    nan = torch.full_like(fine, torch.nan)
    others = (
        Predictions({"fine": fine[1:]}, {level: values[1:] for level, values in labels.items()}),
        Predictions({"fine": fine[:, 1:]}, labels),
        Predictions({"fine": nan}, labels),
        Predictions({"fine": fine}, {**labels, "coarse": labels["coarse"].flip(0)}),
    )
    for other in others:
        other.save(path)
        assert "predictions.npz is not as its run left it" in error_of(OutputError, [folder], [])
        assert not re.search(
            "not of the test images|not all finite|outside the 39", error_of(OutputError, [folder], [])
        )
    record = yaml.safe_load((path.parent / "run.yaml").read_text())
    del record["digests"]  # as of a run by an older version
    (path.parent / "run.yaml").write_text(yaml.safe_dump(record))
    for other in others:
        other.save(path)
        told = error_of(OutputError, [folder], [])
        assert re.search("not of the test images|not all finite|outside the 39", told) and str(path.parent) in told


def test_other_data_than_was_tested_on_are_told(tiny_experiment):
    study = [tiny_experiment / "runs" / "quick-experiment"]
    text = error_of(DataError, study, ["data.shapes.seed=5"])
    assert "is not the one that" in text and "data.KEY=VALUE" in text
    assert open_study(study, ["data.shapes.seed=0"]).dataset
    assert "data.rot" in error_of(ConfigError, study, ["data.rot=x"])
    assert "only data.KEY=VALUE" in error_of(ConfigError, study, ["model.left.width=1"])
    assert "only data.KEY=VALUE" in error_of(ConfigError, study, ["seeds=[0]"])
    assert open_study(study, ["training.device=cpu"]).systems[0].device == torch.device("cpu")


def test_rows_that_cannot_be_looked_into_are_told(tiny_experiment):
    study = [tiny_experiment / "runs" / "quick-experiment"]
    for row in ("middle", "left", "unilateral_wide", "side_by_side"):
        text = error_of(ConfigError, study, [], row)
        assert f"no row {row!r}" in text and "it has specialised" in text
    assert open_study(study, [], "specialised").subject == "specialised"
    assert "only an experiment has rows" in error_of(
        ConfigError, bilateral_runs(study[0].parent)[:1], [], "specialised"
    )


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


def test_hemispheres_recorded_in_each_others_place_are_told(moved):
    run = bilateral_runs(moved)[0]
    record = yaml.safe_load((run / "run.yaml").read_text())
    left, right = "hemispheres.left", "hemispheres.right"
    record["parents"] = {left: record["parents"][right], right: record["parents"][left]}
    (run / "run.yaml").write_text(yaml.safe_dump(record))
    study = open_study([run], [])
    with pytest.raises(OutputError, match="lack a head that it is made of"):
        study.predictions("side_by_side")
