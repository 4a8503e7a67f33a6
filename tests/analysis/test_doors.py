"""Files of an experiment that anybody may have changed: a page comes of them, or one sentence, and nothing is run."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bilateral.analysis.base import ANALYSES, find_analysis
from bilateral.analysis.opening import open_study
from bilateral.analysis.running import analyse
from bilateral.report.contents import contents
from bilateral.report.page import render
from conftest import INAPPLICABLE
from doors import many, passes, strange

pytestmark = pytest.mark.slow

CHEAP = ("contrasts", "differences", "outcomes", "severity", "calibration", "learning_curves")
"""Analyses that need no network, which are done again where they were changed."""


@pytest.fixture(scope="module")
def place(tiny_analysed, tmp_path_factory) -> Path:
    """An analysed experiment that may be changed, and is brought back by the originals beside it."""
    folder = tmp_path_factory.mktemp("doors")
    shutil.copytree(tiny_analysed.parent, folder / "runs")
    (folder / "evil.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    return folder


def files(place: Path) -> list[Path]:
    """What is read, but for what only a wrong answer would come of: images and weights."""
    experiment, run = place / "runs/quick-experiment", next((place / "runs").glob("quick-bilateral-*/*-seed0-*"))
    left = next((place / "runs").glob("quick-unilateral-*-fine/*-seed1-*"))
    found = [experiment / "provenance.json", experiment / "table.json"]
    found += [
        run / name for run in (run, left) for name in ("run.yaml", "predictions.npz", "metrics.jsonl", "timing.jsonl")
    ]
    return found + [
        experiment / f"analysis/{name}.{ending}" for name in CHEAP for ending in ("json", "csv", "svg", "png")
    ]


def change(path: Path, data) -> None:
    content = path.read_bytes()
    structured = path.suffix in (".json", ".yaml") and data.draw(st.integers(0, 3))
    if structured and path.suffix == ".json":
        changed = json.dumps(strange(json.loads(content), data)).encode()
    elif structured:
        changed = yaml.safe_dump(strange(yaml.safe_load(content), data)).encode()
    else:
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.sampled_from([start, start + 1, start + 20, len(content)]))
        changed = content[:start] + data.draw(st.binary(max_size=10)) + content[end:]
    path.write_bytes(changed)


def page_of(place: Path) -> str:
    """The page, of what is stored but for the analyses that need networks, which are taken as they are."""
    folder = place / "runs/quick-experiment"
    study = open_study([folder], [])
    results = analyse(study, [find_analysis(name) for name in CHEAP], folder / "analysis")
    return render(contents(study, results, folder / "analysis"))


@many
@given(data=st.data())
def test_changed_files_make_a_page_or_a_sentence(place, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        kept = {path: path.read_bytes() for path in files(place)}
        pages: list[str] = []
        try:
            change(data.draw(st.sampled_from(files(place))), data)
            sentence = passes(lambda: pages.append(page_of(place)), place)
            assert "\0" not in sentence
            assert all(page.rstrip().endswith("</html>") and "<script>alert" not in page for page in pages)
        finally:
            for path, content in kept.items():
                path.write_bytes(content)
    assert not (place / "ran").exists() and {path.name for path in place.iterdir()} == {"runs", "evil.py"}


def test_as_they_are_they_make_the_page_without_anything_done_again(place):
    folder = place / "runs/quick-experiment/analysis"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    assert page_of(place).count("<svg") == len(CHEAP) + 1
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.png")} == before
    assert len(before) == len(ANALYSES) - len(INAPPLICABLE)
