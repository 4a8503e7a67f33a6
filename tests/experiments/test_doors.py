"""Results of seeds and of longer trainings that anybody may have changed: a table comes of them, or one sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bilateral.data.hierarchy import LabelHierarchy
from bilateral.data.images import HierarchicalDataset
from bilateral.experiments.contrasts import answer, contrast_rows
from bilateral.experiments.results import Gain, RowResult, SeedResult, Table
from bilateral.experiments.seed_records import join, read_seeds, write_seeds
from bilateral.experiments.sufficiency import doubts
from bilateral.experiments.tables import FORMATS, blocks, render
from bilateral.experiments.twice import read_gains, write_gains
from bilateral.runs.config import check_config
from bilateral.runs.experiment_config import ContrastsConfig
from conftest import COARSE_OF_FINE, make_images
from doors import many, passes, strange

CONFIG = check_config({}, "test")
DATASET = HierarchicalDataset(
    "tiny",
    LabelHierarchy(tuple("abcdef"), ("x", "y", "z"), COARSE_OF_FINE),
    make_images(2, 0),
    make_images(5, 1),
    *[(0.2, 0.2, 0.2)] * 2,
)
FAMILY = ContrastsConfig(against=["left"], measures=["fine_pct"])
COSTS = {"parameters": 1.0, "trainable_parameters": 1.0, "multiply_adds": 1.0, "training_pflops": 0.5}
ROWS = [RowResult(name, f"the {name}", COSTS, [], {}) for name in ("specialised", "left")]


def results(images: int) -> list[RowResult]:
    generator = np.random.default_rng(0)
    rows = []
    for row in ROWS:
        seeds = {}
        for seed in range(3):
            right = generator.random(images) < 0.5
            measures = {"fine_pct": 100 * float(right.mean()), "severity": 1.5}
            seeds[seed] = SeedResult(measures, {"fine_pct": right}, 1.0, 0.5)
        rows.append(RowResult(row.name, row.title, COSTS, ["a"], seeds))
    return rows


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("experiment_doors")
    (folder / "evil.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    return folder


def table_of(folder: Path) -> None:
    records, gains = read_seeds(folder), read_gains(folder)
    for record in records:
        record.check(DATASET, CONFIG)
    rows = join(ROWS, records)
    correct = {row.name: {seed: found.correct for seed, found in row.seeds.items()} for row in rows}
    contrasts = contrast_rows(correct, FAMILY)
    assert answer(contrasts, {}) and doubts(rows, gains, DATASET.hierarchy) is not None
    for block in blocks(Table(rows, contrasts, [], [], gains)):
        assert all(render(block, form) for form in FORMATS)


@many
@given(data=st.data())
def test_results_that_somebody_changed(place, data):
    write_seeds(place, Table(results(len(DATASET.test)), [], [], []), DATASET, CONFIG, None)
    write_gains(place, [Gain("left", "the left", 0, ["a"], {"fine": 50.0}, {"fine": 52.0})])
    path = data.draw(st.sampled_from([place / "seed-1.json", place / "twice.json"]))
    if data.draw(st.integers(0, 3)):
        path.write_text(json.dumps(strange(json.loads(path.read_text()), data)))
    else:
        content = path.read_bytes()
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.sampled_from([start, start + 1, start + 20, len(content)]))
        path.write_bytes(content[:start] + data.draw(st.binary(max_size=10)) + content[end:])
    sentence = passes(lambda: table_of(place), place)
    assert not sentence or str(place) in sentence or "seed" in sentence
    assert not (place / "ran").exists()
