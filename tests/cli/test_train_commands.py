"""`bilateral experiment` as a user runs it: real processes, killed, run again, with failures and bad input."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from bilateral.cli.main import main
from conftest import QUICK, workers_of
from conftest import TINY_EXPERIMENT as TINY

pytestmark = pytest.mark.slow

DETERMINISTIC = [
    *(f"table.{form}" for form in ("txt", "md", "tex", "json", "csv")),
    *("per_seed.csv", "contrasts.csv"),
]
ROWS = 15
NEXT = """Next:
  bilateral report runs/quick-experiment
  bilateral explore runs/quick-experiment --row specialised
  tensorboard --logdir runs
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bilateral", "experiment", str(QUICK), *TINY, *arguments]


def experiment(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / "runs/quick-experiment" / name).read_bytes() for name in DETERMINISTIC}


def epochs_done(folder: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.rglob("metrics.jsonl"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = experiment(folder, "--workers", "1")
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    return folder


def test_the_table_has_all_rows_and_their_costs(whole):
    found = json.loads(tables(whole)["table.json"])
    rows = {row["name"]: row for row in found["rows"]}
    assert len(rows) == ROWS and found["failures"] == []
    for row in rows.values():
        assert row["parameters"] > 0 and row["training_pflops"] > 0
        assert len(found["by_seed"][row["name"]]) == 2
    # What a row builds on is counted with it, and counted once.
    single = rows["left"]["training_pflops"] + rows["right"]["training_pflops"]
    assert rows["side_by_side"]["training_pflops"] == pytest.approx(single)
    assert rows["specialised"]["training_pflops"] > single
    assert rows["fine_tuned"]["training_pflops"] > rows["specialised"]["training_pflops"]
    assert rows["unilateral_wide"]["parameters"] == pytest.approx(rows["nonspecialised"]["parameters"], rel=0.02)
    assert rows["specialised"]["trainable_parameters"] < rows["fine_tuned"]["trainable_parameters"]
    printed = (whole / "stdout").read_text()
    words = re.sub(r"\s+[\d.±–\s]*\n\s*", " ", printed)  # long titles go on in the next line
    for row in rows.values():
        assert row["title"] in words
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.endswith(NEXT)
    assert "No verdict from 2 seeds: it takes at least 3." in printed
    assert rows["unilateral_long"]["training_pflops"] == pytest.approx(rows["specialised"]["training_pflops"], rel=0.1)


def test_what_the_table_says_is_what_the_runs_say(whole):
    rows = list(csv.DictReader(tables(whole)["per_seed.csv"].decode().splitlines()))
    provenance = json.loads((whole / "runs/quick-experiment/provenance.json").read_text())
    checked = 0
    for row in rows:
        (folder, *others) = provenance["runs"][row["row"]][row["seed"]]
        if not others:
            (values,) = yaml.safe_load((whole / folder / "result.yaml").read_text())
            both = "test_acc_fine" in values
            level = "fine" if both or row["row"] == "left" else "coarse"
            expected = values["test_acc_fine"] if both else values["test_acc"]
            assert float(row[f"{level}_pct"]) == pytest.approx(100 * expected)
            checked += 1
    assert checked == 2 * 11


def test_killed_and_run_again_the_table_is_identical_and_again_all_is_reused(whole, tmp_path):
    for workers, moment in (("1", 5), ("2", 20)):
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                command("--workers", workers), cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
            )
            while epochs_done(tmp_path) < moment:
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    # One worker alone: the command goes on.
    process = subprocess.Popen(command("--workers", "2"), cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    before = epochs_done(tmp_path)
    while epochs_done(tmp_path) < before + 2 and process.poll() is None:
        time.sleep(0.01)
    if Path("/proc/self/task").exists():  # where the workers can be found
        os.kill(workers_of(process)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0 and "Traceback" not in errors, errors
    assert tables(tmp_path) == tables(whole)
    again = experiment(tmp_path)
    assert again.stdout == (whole / "stdout").read_text()
    assert again.stderr.count("finished before, reused") == 28 and tables(tmp_path) == tables(whole)
    assert not list(tmp_path.rglob("*.partial"))


def test_the_plan_says_what_is_reused_and_what_is_not(whole):
    plan = json.loads(experiment(whole, "--plan", "--json", "--seeds", "3").stdout)
    states = {(run["role"], run["seed"]): run for run in plan["runs"]}
    assert len(states) == 42
    assert {run["state"] for (_, seed), run in states.items() if seed in (0, 1, 1000, 1001)} == {"finished"}
    missing = [run for (_, seed), run in states.items() if seed in (2, 1002)]
    assert len(missing) == 14 and all(run["state"] == "to do" and run["left_s"] > 0 for run in missing)
    assert plan["left_s"] == pytest.approx(sum(run["left_s"] for run in missing))
    assert not list(whole.rglob("*seed2*"))
    assert max(map(len, experiment(whole, "--plan", "seeds=[0, 1, 2]").stdout.splitlines())) <= 80


def test_a_plan_downloads_nothing(bilateral, tmp_path):
    small = QUICK.with_name("cifar100_small.yaml")
    done = bilateral("experiment", str(small), "data.download=true", "data.root=here", "--plan")
    assert done.returncode == 2 and "--plan reads the data, and downloads nothing" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Do the command in this process, which is quicker: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def do(*arguments: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["experiment", str(QUICK), *TINY, "workers=1", *arguments])
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return do


def test_seeds_done_elsewhere_are_taken_as_they_are(whole, here, tmp_path):
    seeds = tmp_path / "given"
    seeds.mkdir()
    (seeds / "seed-1.json").write_bytes((whole / "runs/quick-experiment/seeds/seed-1.json").read_bytes())
    plan = json.loads(here("--plan", "--json", "--seeds-from", "given")[1])
    assert len(plan["runs"]) == 14 and {run["seed"] for run in plan["runs"]} == {0, 1000}
    rows = "experiment.rows=[left, right, side_by_side]"
    assert here(rows, "--seeds-from", "given")[0] == 0
    found = json.loads((tmp_path / "runs/quick-experiment/table.json").read_text())["by_seed"]
    good = json.loads(tables(whole)["table.json"])["by_seed"]
    assert found == {name: good[name] for name in found}
    code, _, told = here(rows, "--seeds-from", "given", "pretraining.left.epochs=1")
    assert code == 2 and "seed 1 of the row left was made with other settings" in told


def test_what_twice_the_epochs_bring_is_measured_and_then_told(here, tmp_path):
    arguments = ["experiment.rows=[left, specialised]", "experiment.contrasts.against=[left]", "seeds=[0]"]
    code, told, _ = here(*arguments, "--twice", "--json")
    assert code == 0
    gains = json.loads(told)
    assert [gain["row"] for gain in gains] == ["left", "specialised"]
    assert here(*arguments)[0] == 0
    found = json.loads((tmp_path / "runs/quick-experiment/table.json").read_text())
    assert found["gains"] == gains
    for gain in gains:
        rises = max(gain["twice_pct"][level] - once for level, once in gain["once_pct"].items()) > 1
        told = [doubt for doubt in found["doubts"] if gain["title"] in doubt and "fully trained" in doubt]
        assert len(told) == rises and all("Not fully trained, since twice" in doubt for doubt in told)
    # What was measured of other settings is not told of these.
    assert here(*arguments, "pretraining.left.epochs=1")[0] == 0
    assert json.loads((tmp_path / "runs/quick-experiment/table.json").read_text())["gains"] == []


def test_a_failed_run_is_marked_with_its_log_and_all_others_go_on(whole, tmp_path):
    diverging = ["pretraining.right.lr=1e20", "pretraining.right.optimizer=sgd", "pretraining.right.warmup_epochs=0"]
    done = experiment(tmp_path, *diverging)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    (log, *_) = tmp_path.rglob("failure.log")
    assert str(log.relative_to(tmp_path)) in done.stderr and "TrainingDivergedError" in log.read_text()
    found = json.loads((tmp_path / "runs/quick-experiment/table.json").read_text())
    counts = {name: len(seeds) for name, seeds in found["by_seed"].items()}
    without = {"right", "side_by_side", "two_right", "specialised", "fine_tuned", "hemispheres_ensemble"}
    assert {name for name, count in counts.items() if count == 0} == without
    good = json.loads(tables(whole)["table.json"])["by_seed"]
    assert all(seeds == good[name] for name, seeds in found["by_seed"].items() if name not in without)
    # Four right hemispheres, two pairs of them, two specialised and two fine-tuned networks.
    assert len(found["failures"]) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seeds=[1, 1]"], "lists a seed twice"),
        (["seeds=[1, 1001]"], "share networks"),
        (["experiment.rows=[left, middle]"], "experiment.rows"),
        (["experiment.contrasts.against=[lft]"], "experiment.contrasts.against: there is no row 'lft'"),
        (["experiment.ensemble_sizes=[1]"], "experiment.ensemble_sizes"),
        (["model.left.checkpoint=x"], "model.left.checkpoint: an experiment trains all"),
        (["--executor", "ray"], "allowed: local, dask"),
        (["--executor", "dask"], "--address"),
        (["--address", "tcp://127.0.0.1:1"], "belong to --executor dask"),
        (["--executor", "dask", "--address", "tcp://127.0.0.1:1", "--workers", "2"], "has the workers that it has"),
        (["--executor", "slurm"], "needs --workers"),
        (["--workers", "0"], "workers"),
        (["model.left.freeze=untrained"], "model.left.freeze: has no effect"),
        (["pretraining.left.crop_padding=40"], "crop_padding"),
    ],
)
def test_bad_input_is_told_before_anything_starts(here, tmp_path, arguments, message):
    code, _, told = here(*arguments)
    assert code == 2 and message in told and "Traceback" not in told
    assert not (tmp_path / "runs").exists()


def test_a_config_file_is_needed(bilateral):
    done = bilateral("experiment")
    assert done.returncode == 2 and "configs/experiment/quick.yaml" in done.stderr
