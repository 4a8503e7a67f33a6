"""Folders that are no study, were changed, or name what they may not."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from bilateral.analysis.opening import open_study
from bilateral.base.errors import BilateralError, ConfigError, DataError, OutputError
from bilateral.runs.predictions import Predictions
from conftest import bilateral_runs


def error_of(error: type[BilateralError], *arguments) -> str:
    with pytest.raises(error) as caught:
        open_study(*arguments).dataset  # noqa: B018
    text = str(caught.value)
    assert text and "\n" not in text and not text.endswith(".")
    return text


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
        lambda found: found["by_seed"]["left"]["0"].update(fine_pct="all"),
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


def test_hemispheres_recorded_in_each_others_place_are_told(moved):
    run = bilateral_runs(moved)[0]
    record = yaml.safe_load((run / "run.yaml").read_text())
    left, right = "hemispheres.left", "hemispheres.right"
    record["parents"] = {left: record["parents"][right], right: record["parents"][left]}
    (run / "run.yaml").write_text(yaml.safe_dump(record))
    study = open_study([run], [])
    with pytest.raises(OutputError, match="lack a head that it is made of"):
        study.predictions("side_by_side")
