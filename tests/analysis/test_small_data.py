"""Every analysis, and the page, of runs on few images and few classes: each works, or says why it does not apply."""

import json
import re
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from bilateral.analysis.base import ANALYSES, find_analysis
from bilateral.analysis.opening import open_study
from bilateral.analysis.study import NotApplicableError, Study
from bilateral.analysis.style import styled, tidy
from bilateral.base.errors import ConfigError
from bilateral.cli.main import app
from bilateral.runs.predictions import Predictions
from conftest import INAPPLICABLE

from .test_all_analyses import assert_says_something

pytestmark = pytest.mark.slow

OWN = """
from torch import nn
from bilateral.models.backbones.base import Backbone

class Flat(Backbone):
    stages, num_features = ("layers",), 4
    def __init__(self, config):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))

class OneChannel(Backbone):
    stages, num_features = ("convolution", "pool"), 1
    def __init__(self, config):
        super().__init__()
        self.convolution = nn.Conv2d(3, 1, 3)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""
TWO, SIX = {"x": "ab", "y": "cd"}, {"x": "ab", "y": "cd", "z": "ef"}
NARROW = ("model.left.width=0.0625", "model.right.width=0.0625")
# Classes, training and test images of each, settings, and what does not apply.
CASES: dict[str, tuple[dict[str, str], int, int, tuple[str, ...], set[str]]] = {
    "12 test images": (SIX, 4, 2, NARROW, set()),
    "2 test images": ({"x": "a", "y": "b"}, 8, 1, NARROW, {"cka", "cosine"}),
    "one coarse class": ({"x": "abc"}, 6, 4, NARROW, set()),
    "one class, one test image": (
        {"x": "a"},
        12,
        1,
        NARROW,
        {"cka", "probes", "cosine", "attribution", "occlusion", "confusion", "specialisation", "asymmetries"}
        | {"frequencies"},
    ),
    "all images alike": ({"same": "ab", "same too": "cd"}, 6, 4, NARROW, set()),
    "a fine head alone": (
        TWO,
        6,
        4,
        (*NARROW, "model.mode_heads=fine"),
        {"outcomes", "head_shares", "cosine", "class_gains", "gallery"},
    ),
    "one channel": (TWO, 6, 4, ("model.left.arch=own_arch:OneChannel", "model.right.arch=own_arch:OneChannel"), set()),
    "one stage, without maps": (
        TWO,
        6,
        4,
        ("model.left.arch=own_arch:Flat", "model.right.arch=own_arch:Flat"),
        {"attribution", "occlusion", "gallery"},
    ),
}


def write_images(folder: Path, classes: dict[str, str], each: int) -> None:
    random = np.random.default_rng(each)
    for coarse, fine in classes.items():
        for name in fine:
            (folder / coarse / name).mkdir(parents=True)
            for number in range(each):
                pixels = random.integers(0, 90, (16, 16, 3), np.uint8)
                pixels[ord(name) - ord("a")] = 230
                image = np.full_like(pixels, 128) if "same" in classes else pixels
                Image.fromarray(image).save(folder / coarse / name / f"{number}.png")


@pytest.fixture(scope="module", params=list(CASES))
def case(request, tmp_path_factory) -> tuple[Study, set[str]]:
    """The study of a system that was trained on such images, and the analyses that do not apply to it."""
    classes, train, test, settings, inapplicable = CASES[request.param]
    folder = tmp_path_factory.mktemp("small")
    write_images(folder / "images" / "train", classes, train)
    write_images(folder / "images" / "test", classes, test)
    (folder / "own_arch.py").write_text(OWN)
    short = [f"{section}.epochs=1" for section in ("training", "pretraining.left", "pretraining.right")]
    given = ["data.name=folders", f"data.root={folder / 'images'}", "name=small", f"save_dir={folder / 'runs'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        app(
            ["system", *given, *short, *settings, "training.batch_size=8"],
            exit_on_error=False,
            result_action="return_none",
        )
    own = [text.partition("=")[2] for text in settings if ":" in text]
    # Contrasts are an experiment's, no join weighs, and no image is a compound figure.
    return open_study([folder / "runs" / "small-system"], [], None, own), inapplicable | {"contrasts", *INAPPLICABLE}


@pytest.mark.filterwarnings("error")
def test_every_analysis_works_or_says_why_it_does_not_apply(case):
    study, inapplicable = case
    found = set()
    for name in ANALYSES:
        analysis = find_analysis(name)
        try:
            table = analysis.compute(study)
        except NotApplicableError as reason:
            assert str(reason) and not str(reason).endswith(".")
            found.add(name)
            continue
        assert_says_something(analysis.tell(table))
        with styled():
            figure = analysis.draw(table)
            tidy(figure)
    assert found == inapplicable


@pytest.mark.parametrize("case", ["one class, one test image", "a fine head alone"], indirect=True)
def test_the_page_is_there(case, tmp_path):
    study, inapplicable = case
    app(
        ["report", str(study.folder), "-o", str(tmp_path / "page.html")],
        exit_on_error=False,
        result_action="return_none",
    )
    page = (tmp_path / "page.html").read_text()
    assert page.count("Not shown: ") == len(inapplicable) + ("gallery" not in inapplicable)  # without scripts
    assert ">nan" not in page and "nan\u00a0%" not in page


@pytest.mark.parametrize("case", ["12 test images"], indirect=True)
def test_a_row_of_a_system_can_be_chosen(case):
    folder = case[0].folder
    assert open_study(folder, row="specialised").subject == "specialised"
    with pytest.raises(ConfigError, match=r"no row 'left' that is a network of two hemispheres; it has specialised"):
        open_study(folder, row="left")


ODD = ["$\\input{x}$", "猫", "<script>alert(1)", "nan", "007", "True", "]]> {{ 7 * 7 }}", "q\"'\\"]


@pytest.mark.filterwarnings("ignore:no font on this machine")
def test_classes_may_have_any_name(tmp_path, capfd):
    """Through training, analyses and page: text stays text everywhere."""
    for part, each in (("train", 4), ("test", 2)):
        for place, name in enumerate(ODD):
            folder = tmp_path / "images" / part / f"$x$ {place // 2}" / name
            folder.mkdir(parents=True)
            for number in range(each):
                pixels = np.random.default_rng(10 * place + number).integers(0, 255, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    given = ["data.name=folders", f"data.root={tmp_path / 'images'}", "name=odd", f"save_dir={tmp_path / 'runs'}"]
    short = [f"{section}.epochs=1" for section in ("training", "pretraining.left", "pretraining.right")]
    do = partial(app, exit_on_error=False, result_action="return_none")
    do(["system", *given, *short, *NARROW, "training.batch_size=8"])
    do(["report", str(tmp_path / "runs" / "odd-system"), "-o", str(tmp_path / "page.html")])
    assert capfd.readouterr().err.count("Glyph") == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "49" not in re.findall(r"]]&gt; .{12}", page)
    gallery = json.loads(re.search(r'id="gallery-data">(.*?)</script>', page)[1])
    assert sorted(gallery["classes"]) == sorted(ODD) and {image["fine"] for image in gallery["images"]} == set(ODD)
    figures = [ElementTree.fromstring(figure) for figure in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    texts = {element.text for figure in figures for element in figure.iter() if element.tag.endswith("text")}
    assert set(ODD) <= texts and len(figures) >= len(ANALYSES) - len(INAPPLICABLE | {"gallery"})


NEEDS_PREDICTIONS = ("differences", "outcomes", "confusion", "class_gains", "severity", "calibration", "cost")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", ["12 test images"], indirect=True)
@pytest.mark.parametrize("step", [0, 1])
def test_networks_that_are_always_right_or_always_wrong(case, step, monkeypatch):
    study, _ = case
    for run in [run for row in study.rows.values() for group in row.runs.values() for run in group] + [
        getattr(system, part) for system in study.systems for part in ("left", "right", "bilateral")
    ]:
        said = run.predictions
        wrong = {
            level: 9
            * torch.nn.functional.one_hot((said.labels[level] + step) % values.shape[1], values.shape[1]).float()
            for level, values in said.logits.items()
        }
        monkeypatch.setitem(run.__dict__, "predictions", Predictions(wrong, said.labels))
    for name in NEEDS_PREDICTIONS:
        analysis = find_analysis(name)
        table = analysis.compute(study)
        assert_says_something(analysis.tell(table))
        with styled():
            analysis.draw(table).draw_without_rendering()
    told = find_analysis("outcomes").tell(find_analysis("outcomes").compute(study))
    assert ("has no mistake of left to correct" in told) == (step == 0)
    assert ("has no right answer of left to spoil" in told) == (step == 1)
