"""`bilateral analyse` and `bilateral report` as a user gives them: real processes on runs of seconds."""

import json
import os
import re
import shutil
from functools import partial
from pathlib import Path

import pytest

from bilateral.analysis.base import ANALYSES
from bilateral.base.errors import BilateralError
from bilateral.cli import analysis_commands
from bilateral.cli.main import app
from conftest import INAPPLICABLE, run_bilateral

MINE = """
import pandas
from bilateral.analysis.base import Analysis
from bilateral.analysis.style import panels

MINE = Analysis(
    "mine",
    "My <own> title",
    "How many seeds?",
    lambda study: pandas.DataFrame({"seeds": [len(study.systems)]}),
    lambda table: panels()[0],
    lambda table: f"There are {table['seeds'][0]} seeds & no more.",
)
"""
IMAGE = "UklGR"
"""How a WebP file begins in base64."""


def with_own_module(folder: Path, runs: Path) -> Path:
    shutil.copytree(runs, folder / "runs")
    (folder / "my_module.py").write_text(MINE)
    (folder / "file").write_text("")
    return folder


@pytest.fixture(scope="module")
def place(tiny_experiment, tmp_path_factory) -> Path:
    """A folder with finished runs in it, which a test may change."""
    return with_own_module(tmp_path_factory.mktemp("place"), tiny_experiment / "runs")


@pytest.fixture(scope="module")
def analysed(tiny_analysed, tmp_path_factory) -> Path:
    """The same after all analyses, which take a minute."""
    return with_own_module(tmp_path_factory.mktemp("analysed"), tiny_analysed.parent)


@pytest.fixture
def command(analysed):
    return partial(run_bilateral, analysed)


def assert_refused(done, message: str) -> None:
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith("bilateral: ") and message in line


@pytest.mark.slow
def test_analyses_are_printed_and_what_is_there_is_reused(command, analysed):
    before = {path: path.stat().st_mtime_ns for path in (analysed / "runs/quick-experiment/analysis").iterdir()}
    assert len(before) == 4 * len(ANALYSES) - 3 * len(INAPPLICABLE)
    done = command("analyse", "runs/quick-experiment")
    assert done.returncode == 0 and done.stderr == "tables and figures: runs/quick-experiment/analysis\n"
    for name in ANALYSES:
        result = json.loads((analysed / f"runs/quick-experiment/analysis/{name}.json").read_text())
        said = result["sentence"] or f"not computed: {result['skipped']}"
        assert f"{result['title']}: {said}\n" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_some_analyses_of_bilateral_runs_elsewhere_as_json(command, analysed):
    runs = sorted((analysed / "runs").glob("quick-bilateral-*/*-seed*"))
    arguments = ["--only", "outcomes", "--only", "cosine", "--own", "my_module:MINE", "--output", "out/deep", "--json"]
    done = command("analyse", *map(str, runs), *arguments)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [result["name"] for result in results] == ["outcomes", "cosine", "mine"]
    assert results[2]["sentence"] == "There are 2 seeds & no more." and results[0]["machine"]["threads"] == 1
    names = {path.stem for path in (analysed / "out/deep").iterdir()}
    assert names == {"outcomes", "cosine", "mine"} and len(list((analysed / "out/deep").iterdir())) == 3 * 4
    assert not (runs[0] / "analysis").exists()
    # The progress names every analysis; what it says stands in the output alone.
    assert done.stderr.count("mine: done (") == 1 and "There are 2 seeds" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analyse", "nothing"], "nothing is no folder"),
        (["report", "runs/quick-experiment", "model.left.width=2"], "only data.KEY=VALUE"),
        (["analyse", "runs/quick-experiment", "--output", "file", "--only", "severity"], "file"),
    ],
)
def test_bad_input_is_told_in_a_sentence(forked_commands, place, arguments, message):
    assert_refused(forked_commands.run(place, *arguments), message)
    assert not list(place.rglob("report*.html"))


@pytest.mark.slow
def test_an_analysis_that_fails_is_named_on_the_page_and_ends_with_1(command, analysed):
    (analysed / "broken.py").write_text(
        MINE.replace("len(study.systems)", "study.nothing").replace('"mine"', '"broken"')
    )
    done = command("report", "runs/quick-experiment", "--own", "broken:MINE", "-o", "broken.html")
    *_, last = done.stderr.splitlines()
    log = "runs/quick-experiment/analysis/broken.error.log"
    assert done.returncode == 1 and last == f"bilateral: broken failed, while all else was done; see {log}"
    assert "Traceback" not in done.stderr and "AttributeError" in (analysed / log).read_text()
    page = (analysed / "broken.html").read_text()
    assert "Not shown: it failed (AttributeError: " in page and page.rstrip().endswith("</html>")
    done = command("analyse", "runs/quick-experiment", "--own", "broken:MINE", "--only", "severity", "--json")
    assert done.returncode == 1 and [each["failed"] != "" for each in json.loads(done.stdout)] == [False, True]


def test_what_cannot_be_written_is_told_before_anything_is_done(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(analysis_commands, "open_study", None)
    os.mkfifo("pipe")
    for output in ("pipe", "/dev/null", "file/report.html", "/proc/report.html", "x" * 300 + ".html"):
        with pytest.raises(BilateralError, match=r"cannot write .*; choose a folder that can be written") as caught:
            app(["report", "runs/quick-experiment", "-o", output], exit_on_error=False, result_action="return_none")
        assert caught.value.exit_code == 2
    Path("pipe").unlink()


def test_analyses_are_not_written_where_a_link_leads(place, monkeypatch):
    monkeypatch.chdir(place)
    (place / "other").mkdir()
    shutil.copytree(place / "runs", place / "linked", ignore=shutil.ignore_patterns("analysis"))
    (place / "linked/quick-experiment/analysis").symlink_to(place / "other")
    with pytest.raises(BilateralError, match="is a link that leads elsewhere"):
        app(["analyse", "linked/quick-experiment"], exit_on_error=False, result_action="return_none")
    assert not list((place / "other").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analyse"], "give the folder of an experiment"),
        (["report", "file"], "file is no folder"),
        (
            ["analyse", "runs/quick-experiment", "--only", "ckaa"],
            "unknown analysis 'ckaa'; did you mean cka? allowed: contrasts",
        ),
        (["report", "runs/quick-experiment", "--own", "my_module:OTHER"], "--own: cannot import 'my_module:OTHER'"),
        (["analyse", "runs/quick-experiment", "--row", "middle"], "no row 'middle'"),
        (["report", "runs/quick-experiment", "-o", "runs"], "--output: runs is a folder"),
        (["report", "runs/quick-experiment", "seeds=[0]"], "only data.KEY=VALUE"),
        (["analyse", "runs"], "runs holds no finished runs"),
    ],
)
def test_more_bad_input(place, arguments, message, monkeypatch):
    monkeypatch.chdir(place)
    with pytest.raises(BilateralError) as caught:
        app(arguments, exit_on_error=False, result_action="return_none")
    assert message in str(caught.value) and caught.value.exit_code == 2
    assert not list(place.rglob("report*.html"))


def test_other_data_end_a_report_which_stays_as_it_was(place, monkeypatch):
    (place / "kept.html").write_text("before")
    shutil.copytree(place / "runs", place / "others")
    monkeypatch.chdir(place)
    arguments = ["report", "others/quick-experiment", "data.shapes.seed=3", "-o", "kept.html"]
    with pytest.raises(BilateralError, match="is not the one that"):
        app(arguments, exit_on_error=False, result_action="return_none")
    assert (place / "kept.html").read_text() == "before" and not list(place.rglob("*.partial"))


@pytest.mark.slow
def test_a_report_is_one_page(command, analysed):
    done = command("report", "runs/quick-experiment", "--also", "my_module:MINE", "-o", "deep/page.html")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"deep/page\.html \(\d+\.\d MB\)\n", done.stdout)
    page = (analysed / "deep/page.html").read_text()
    for name in set(ANALYSES) - {"gallery"}:  # whose images have a section of their own
        assert json.loads((analysed / f"runs/quick-experiment/analysis/{name}.json").read_text())["title"] in page
    assert "My &lt;own&gt; title" in page and "There are 2 seeds &amp; no more." in page
    assert IMAGE in page and page.rstrip().endswith("</html>")


@pytest.mark.slow
def test_a_report_without_images_has_none_and_needs_no_gallery(command, analysed):
    shutil.copytree(analysed / "runs", analysed / "bare", dirs_exist_ok=True)
    for path in (analysed / "bare/quick-experiment/analysis").glob("gallery.*"):
        path.unlink()
    done = command("report", "bare/quick-experiment", "--no-images")
    assert done.returncode == 0, done.stderr
    page = (analysed / "bare/quick-experiment/report.html").read_text()
    (analysed / "bare/quick-experiment/report.html").unlink()
    assert "--no-images" in page and not list((analysed / "bare").rglob("gallery.*"))
    assert IMAGE not in page and IMAGE in (analysed / "deep/page.html").read_text()


@pytest.mark.slow
def test_a_row_that_is_asked_for_has_files_of_its_own(command, analysed):
    before = (analysed / "runs/quick-experiment/analysis/cka.json").read_bytes()
    done = command("analyse", "runs/quick-experiment", "--row", "specialised", "--only", "cka")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (analysed / "runs/quick-experiment/analysis-specialised").glob("*.json")} == {
        "cka.json"
    }
    assert (analysed / "runs/quick-experiment/analysis/cka.json").read_bytes() == before
