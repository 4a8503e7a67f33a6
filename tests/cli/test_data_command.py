"""Data of one's own, as a stranger goes: look, train, predict."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bilateral.cli.main import app

FAMILIES = {"cat": "animal", "dog": "animal", "oak": "plant"}
TABLE = ["data.name=table", "data.root=labels.csv", "data.image_size=32"]
CONFIG = Path(__file__).parents[2] / "configs" / "table.yaml"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    lines = ["image,fine,coarse"]
    for number in range(30):
        fine = list(FAMILIES)[number % 3]
        pixels = np.random.default_rng(number).integers(0, 256, (30 + number, 40, 3), dtype=np.uint8)
        pixels[..., number % 3] = 255
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{fine},{FAMILIES[fine]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    return tmp_path


@pytest.mark.slow
def test_from_a_table_to_a_prediction(bilateral, table):
    shown = bilateral("data", str(CONFIG), "--sheet", "sheet.png")
    assert shown.returncode == 0, shown.stderr
    words = " ".join(shown.stdout.split())
    assert words.startswith("table: 30 images of 32x32 pixels (0.1 MB in memory), 3 fine and 2 coarse labels")
    for part in ("animal cat 7 1 2", "dog 7 1 2", "plant oak 7 1 2", "all 21 3 6", "20% of every class are held out"):
        assert part in words
    assert max(map(len, shown.stdout.splitlines())) <= 80 and not shown.stderr
    assert Image.open(table / "sheet.png").size[0] == 880
    assert not (table / "runs").exists()

    small = ["training.epochs=1", "model.left.width=0.0625", "model.right.width=0.0625", "pretraining.left.epochs=1"]
    trained = bilateral("system", str(CONFIG), *small, "pretraining.right.epochs=1", "workers=1")
    assert trained.returncode == 0, trained.stderr
    (run,) = table.glob("runs/my_table-bilateral-*/*-seed0-*")
    predicted = bilateral("predict", str(run), "0.png", "--json")
    assert predicted.returncode == 0, predicted.stderr
    assert {each["label"] for each in json.loads(predicted.stdout)[0]["fine"]} == set(FAMILIES)


def test_what_is_left_out_and_what_large_images_cost(table, monkeypatch, capsys):
    monkeypatch.chdir(table)
    do = partial(app, exit_on_error=False, result_action="return_none")
    do(["data", *TABLE])
    assert "Nothing was left out." in capsys.readouterr().out
    for fine, coarse in FAMILIES.items():
        for number in range(3):
            place = Path("set") / "train" / coarse / fine / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 40)).save(place)
    Path("set/train/animal/cat/notes.txt").write_text("")
    do(["data", "data.name=folders", "data.root=set", "data.image_size=96", "protocol=original"])
    printed = capsys.readouterr().out
    words = " ".join(printed.split())
    assert "not read: 1 file (.txt), for example set/train/animal/cat/notes.txt" in words
    assert "images of 96x96 pixels: training and memory cost about 9 times as much as with 32x32" in words
    assert "Nothing was left out" not in words and "validation" not in words
    assert max(map(len, printed.splitlines())) <= 80


def test_what_was_noted_before_an_error_is_told(forked, table):
    labels = table / "labels.csv"
    labels.write_text(labels.read_text().replace("0.png,cat,animal", "0.png,cat,animl", 1))
    refused = forked("data", *TABLE)
    assert refused.returncode == 2
    assert "'animal' (9 rows), 'animl' (1 row), which makes 2 classes" in " ".join(refused.stdout.split())
    assert "class 'animl/cat' has one image" in refused.stderr and len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "data needs a config file"),
        (["data.name=table"], "data.root must name the table"),
        ([*TABLE, "data.options.fine=breed"], "its columns are image, fine, coarse"),
        ([*TABLE, "--sheet", "."], "cannot write"),
    ],
)
def test_what_is_wrong_is_one_sentence(forked, table, arguments, message):
    refused = forked("data", *arguments)
    assert refused.returncode == 2 and message in refused.stderr and len(refused.stderr.splitlines()) == 1
