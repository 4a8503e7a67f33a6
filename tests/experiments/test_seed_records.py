import json
from dataclasses import replace

import numpy as np
import pytest

from bilateral.base.errors import OutputError
from bilateral.experiments.results import RowResult, SeedResult, Table
from bilateral.experiments.seed_records import join, read_seeds, write_seeds
from bilateral.runs.config import check_config

CONFIG = check_config({}, "test")
COSTS = {"parameters": 10.0, "training_pflops": 1 / 3}


def result(seed, images, base=0):
    right = np.random.default_rng([base, seed]).random(images) < 0.7
    measures = {"fine_pct": 100 * float(right.mean()), "severity": 1 / 3 + seed}
    return SeedResult(measures, {"fine_pct": right, "both_pct": right}, 12.5 + seed, 0.25 * seed, [f"runs/{seed}"])


def row(name, seeds, images, kinds=("a",)):
    return RowResult(name, f"{name} network", COSTS, list(kinds), {seed: result(seed, images) for seed in seeds})


@pytest.fixture
def folder(tiny, tmp_path):
    images = len(tiny.test)
    table = Table([row("left", [0, 2], images), row("wide", [2], images, "bc")], [], [], [])
    write_seeds(tmp_path / "seeds", table, tiny, CONFIG, "abc")
    return tmp_path / "seeds"


def test_seeds_are_put_together_as_they_were(tiny, folder):
    images = len(tiny.test)
    assert sorted(path.name for path in folder.iterdir()) == ["seed-0.json", "seed-2.json"]
    records = read_seeds(folder)
    assert [record.seed for record in records] == [0, 2] and records[0].commit == "abc"
    for record in records:
        record.check(tiny, CONFIG)
    left, wide = join([row("left", [1], images), RowResult("wide", "wide network", COSTS, [], {})], records)
    assert list(left.seeds) == [0, 1, 2] and list(wide.seeds) == [2] and wide.kinds == ["b", "c"]
    for seed in (0, 2):
        found, made = left.seeds[seed], result(seed, images)
        assert (found.measures, found.training_s, found.rise) == (made.measures, made.training_s, made.rise)
        assert found.folders == [] and list(found.correct) == ["fine_pct"]
        assert np.array_equal(found.correct["fine_pct"], made.correct["fine_pct"])
    assert left.seeds[1].folders == ["runs/1"]


def test_writing_what_was_read_gives_the_same_files(tiny, folder, tmp_path):
    rows = join([row("left", [], 1), row("wide", [], 1)], read_seeds(folder))
    write_seeds(tmp_path / "again", Table(rows, [], [], []), tiny, CONFIG, "abc")
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_seeds_of_other_networks_are_not_put_together(tiny, folder):
    with pytest.raises(OutputError, match="seed 0 of the row left was made with other settings or other code"):
        join([row("left", [1], len(tiny.test), "z")], read_seeds(folder))
    changed = json.loads((folder / "seed-2.json").read_text())
    changed["rows"]["left"]["kinds"] = ["z"]
    (folder / "seed-2.json").write_text(json.dumps(changed))
    with pytest.raises(OutputError, match="seed 2 of the row left"):
        join([row("left", [], 1)], read_seeds(folder))


def test_seeds_of_other_images_or_another_protocol_are_refused(tiny, folder):
    first, _ = read_seeds(folder)
    with pytest.raises(OutputError, match="seed 0 is of the data set tiny, whose images are others"):
        first.check(replace(tiny, test=tiny.train), CONFIG)
    with pytest.raises(OutputError, match="seed 0 is of protocol clean, not original"):
        first.check(tiny, check_config({"protocol": "original"}, "test"))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.pop("rows"),
        lambda found: found.update(more=1),
        lambda found: found.update(images=5),
        lambda found: found["rows"]["left"]["measures"].update(length=1.0),
        lambda found: found["rows"]["left"]["measures"].update(severity=float("inf")),
        lambda found: found["rows"]["left"]["correct"].update(fine_pct="AA=="),
        lambda found: found["rows"]["left"]["correct"].update(fine_pct="no base64"),
        lambda found: found.update(seed=-1),
    ],
)
def test_a_file_that_somebody_changed_is_told(folder, change):
    path = folder / "seed-0.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(OutputError, match=f"cannot read {path}: "):
        read_seeds(folder)


def test_a_folder_without_seeds_and_a_file_of_another_name_are_told(folder, tmp_path):
    with pytest.raises(OutputError, match="holds no results of seeds"):
        read_seeds(tmp_path)
    (folder / "seed-0.json").rename(folder / "seed-7.json")
    with pytest.raises(OutputError, match=r"seed-7\.json is of seed 0"):
        read_seeds(folder)
