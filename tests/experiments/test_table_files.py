import csv
import json
import re

import pandas as pd
import pytest

from bilateral.base.statistics import CrossedDifference
from bilateral.experiments.contrasts import Contrast
from bilateral.experiments.measures import MEASURES
from bilateral.experiments.results import Gain, RowResult, SeedResult, Table
from bilateral.experiments.table_files import as_json, write
from bilateral.runs.config import check_config
from bilateral.runs.plan import Run
from bilateral.runs.scheduling import Failure

CONFIG = check_config({"name": "mine", "seeds": [0, 1, 2], "protocol": "original"}, "test")
COSTS = {"parameters": 1_234_567, "trainable_parameters": 4_321, "multiply_adds": 987_654, "training_pflops": 1 / 7}
MEASURED = {
    "left": {seed: {"fine_pct": value, "rollup_pct": 70.0} for seed, value in enumerate([181 / 3, 62.1, 63.0])},
    "wide": {0: {"fine_pct": 200 / 3, "coarse_pct": 77.7}, 2: {"fine_pct": 68.9, "coarse_pct": 77.9}},
}
CONTRASTS = [
    Contrast(
        *("left", "wide", "fine_pct"),
        CrossedDifference(3, 100, -1 / 3, (-2 / 3, 1 / 9), (-1.0, 1 / 7), 1 / 81, 0.5),
        *(2 / 81, 0.75, "worse"),
    ),
    Contrast(
        "left",
        "wide",
        "coarse_pct",
        CrossedDifference(1, 100, 0.5, None, (0.1, 0.2), None, None),
        *[None] * 2,
        "no verdict",
    ),
]
GAINS = [Gain("wide", "wide network", 0, ["kind"], {"fine": 60.0, "coarse": 1 / 3}, {"fine": 61.0, "coarse": 0.5})]


def table(seconds=1.0, contrasts=CONTRASTS, gains=GAINS):
    rows = []
    for name, measures in MEASURED.items():
        seeds = {
            seed: SeedResult(own, {}, seconds * (seed + 1), 0.25, [f"runs/{name}{seed}"])
            for seed, own in measures.items()
        }
        rows.append(RowResult(name, f"{name} network", COSTS, ["kind"], seeds))
    return Table(rows, contrasts, ["One doubt."], [Failure(Run(CONFIG, 1, "wide"), "no luck")], gains)


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(text):
    return None if text == "" else float(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables") / "new"
    write(folder, CONFIG, "shapes", table(), {"commit": "abc", "seconds": 5})
    return folder


def test_every_form_and_every_csv_is_written(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "contrasts.csv",
        "per_seed.csv",
        "provenance.json",
        "table.csv",
        "table.json",
        "table.md",
        "table.tex",
        "table.txt",
        "timing.csv",
        "twice.csv",
    ]


def test_tables_say_of_what_they_are_and_what_failed(folder):
    title = "mine on shapes, seeds 0, 1, 2, protocol original"
    for form, comment in [("txt", ""), ("md", ""), ("tex", "% ")]:
        text = (folder / f"table.{form}").read_text(encoding="utf-8")
        assert text.startswith(f"{comment}{title}\n")
        assert f"\n{comment}wide, seed 1 failed\n" in text
        assert "61.81 ± 1.36" in text and f"\n{comment}No verdict from 1 seed" in text
        for heading in ("Accuracy on", "Mistakes", "minus each", "Cost", "twice the epochs", "intervals"):
            assert text.count(heading) >= 1, heading
    latex = (folder / "table.tex").read_text(encoding="utf-8")
    assert all(line.startswith("% ") for line in latex.splitlines() if re.search(r"(?<!\\)%", line))


def test_the_rows_as_csv_have_every_digit(folder):
    rows = {(line["row"], line["column"]): line for line in read_csv(folder / "table.csv")}
    fine = rows["left", "fine_pct"]
    values = [181 / 3, 62.1, 63.0]
    mean = sum(values) / 3
    deviation = (sum((value - mean) ** 2 for value in values) / 2) ** 0.5
    assert (fine["title"], fine["n"]) == ("left network", "3")
    assert float(fine["mean"]) == pytest.approx(mean, rel=1e-15)
    assert float(fine["std"]) == pytest.approx(deviation, rel=1e-13)
    half = 4.302652729911275 * deviation / 3**0.5
    assert [float(fine[key]) for key in ("ci95_low", "ci95_high")] == pytest.approx([mean - half, mean + half])
    assert rows["wide", "coarse_pct"]["n"] == "2"
    assert float(rows["wide", "training_pflops"]["mean"]) == 1 / 7
    assert [rows["wide", "parameters"][key] for key in ("n", "mean", "std")] == ["", "1234567", ""]
    columns = {name: [column for row, column in rows if row == name] for name in MEASURED}
    assert columns == {"left": ["fine_pct", "rollup_pct", *COSTS], "wide": ["fine_pct", "coarse_pct", *COSTS]}


def test_the_values_of_each_seed_as_csv_have_every_digit(folder):
    lines = read_csv(folder / "per_seed.csv")
    assert [(line["row"], line["seed"]) for line in lines] == [
        *(("left", str(seed)) for seed in range(3)),
        *(("wide", str(seed)) for seed in (0, 2)),
    ]
    for line in lines:
        measured = MEASURED[line["row"]][int(line["seed"])]
        assert {name: number(line[name]) for name in MEASURES} == {name: measured.get(name) for name in MEASURES}


def test_contrasts_as_csv_have_every_digit(folder):
    first, second = read_csv(folder / "contrasts.csv")
    assert [first[key] for key in ("row", "other", "measure", "n", "images", "verdict")] == [
        *("left", "wide", "fine_pct", "3", "100", "worse"),
    ]
    keys = ["mean", "ci95_seeds_low", "ci95_seeds_high", "ci95_low", "ci95_high"]
    keys += ["p", "p_equivalent", "p_holm", "p_equivalent_holm"]
    assert [number(first[key]) for key in keys] == [-1 / 3, -2 / 3, 1 / 9, -1, 1 / 7, 1 / 81, 0.5, 2 / 81, 0.75]
    assert [number(second[key]) for key in keys] == [0.5, None, None, 0.1, 0.2, None, None, None, None]


def test_gains_as_csv(folder):
    lines = [
        (line["row"], line["level"], number(line["once_pct"]), number(line["twice_pct"]))
        for line in read_csv(folder / "twice.csv")
    ]
    assert lines == [("wide", "fine", 60, 61), ("wide", "coarse", 1 / 3, 0.5)]


def test_times_as_csv(folder):
    lines = read_csv(folder / "timing.csv")
    found = [(line["row"], int(line["seed"]), float(line["training_s"])) for line in lines]
    assert found == [("left", 0, 1.0), ("left", 1, 2.0), ("left", 2, 3.0), ("wide", 0, 1.0), ("wide", 2, 3.0)]


def test_json_reads_back(folder):
    read = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    assert read["title"] == "mine on shapes, seeds 0, 1, 2, protocol original"
    left, wide = read["rows"]
    assert (left["name"], left["title"], left["training_pflops"]) == ("left", "left network", 1 / 7)
    assert read["by_seed"]["left"] == {str(seed): values for seed, values in MEASURED["left"].items()}
    assert left["fine_pct_n"] == 3 and left["fine_pct"] == pytest.approx((181 / 3 + 62.1 + 63) / 3)
    assert "coarse_pct" not in left and wide["coarse_pct"] == pytest.approx(77.8)
    assert read["rise"]["left"] == {"0": 0.25, "1": 0.25, "2": 0.25} and read["doubts"] == ["One doubt."]
    assert read["answer"] == "No verdict from 1 seed: it takes at least 3."
    first = read["contrasts"][0]
    assert first["difference"] == {
        **{"n": 3, "images": 100, "mean": -1 / 3, "ci95_seeds": [-2 / 3, 1 / 9], "ci95": [-1.0, 1 / 7]},
        **{"p": 1 / 81, "p_equivalent": 0.5},
    }
    assert (first["row"], first["other"], first["measure"], first["verdict"]) == ("left", "wide", "fine_pct", "worse")
    assert read["gains"][0]["twice_pct"] == {"fine": 61.0, "coarse": 0.5}
    assert read["failures"] == ["wide, seed 1"]
    assert {key: value for key, value in read.items() if key != "title"} == json.loads(json.dumps(as_json(table())))


def test_the_rows_load_into_pandas_with_plain_columns(folder):
    frame = pd.DataFrame(json.loads((folder / "table.json").read_text(encoding="utf-8"))["rows"]).set_index("name")
    assert list(frame.index) == ["left", "wide"] and frame.loc["wide", "coarse_pct"] == pytest.approx(77.8)
    assert not frame.map(lambda value: isinstance(value, dict | list)).any(axis=None)
    assert (
        frame.loc["left", "fine_pct_ci95_low"] < frame.loc["left", "fine_pct"] < frame.loc["left", "fine_pct_ci95_high"]
    )


def test_provenance_names_the_runs_of_every_row(folder):
    read = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    assert (read["commit"], read["seconds"]) == ("abc", 5)
    assert read["runs"]["wide"] == {"0": ["runs/wide0"], "2": ["runs/wide2"]}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_writing_twice_gives_the_same_bytes(folder, tmp_path):
    for _ in range(2):
        write(tmp_path, CONFIG, "shapes", table(), {"commit": "abc", "seconds": 5})
        assert contents(tmp_path) == contents(folder)


def test_only_times_and_provenance_are_of_one_machine(folder, tmp_path):
    write(tmp_path, CONFIG, "shapes", table(seconds=2.5), {"commit": "abc", "seconds": 6})
    first, second = contents(folder), contents(tmp_path)
    assert {name for name in first if first[name] != second[name]} == {"timing.csv", "provenance.json"}


def test_without_contrasts_there_is_no_such_file(tmp_path):
    write(tmp_path, CONFIG, "shapes", table(), {})
    assert (tmp_path / "contrasts.csv").exists()
    write(tmp_path, CONFIG, "shapes", table(contrasts=[], gains=[]), {})
    assert not (tmp_path / "contrasts.csv").exists() and not (tmp_path / "twice.csv").exists()
    assert "minus each" not in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert len(read_csv(tmp_path / "per_seed.csv")) == 5
