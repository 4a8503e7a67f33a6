import json
import logging
import shutil
from dataclasses import replace
from xml.etree import ElementTree

import pandas as pd
import pytest
from PIL import Image

from bilateral.analysis import running
from bilateral.analysis.base import Analysis, find_analysis
from bilateral.analysis.running import analyse, check_none_failed, read_table
from bilateral.analysis.study import NotApplicableError
from bilateral.analysis.style import NARROW, panels
from bilateral.base.errors import AnalysesFailedError, DataError, OutputError

from . import handmade

MODULE = '''
import pandas
from bilateral.analysis.base import Analysis
from bilateral.analysis.style import panels

def compute(study):
    """Count."""
    return pandas.DataFrame({"seed": [system.seed for system in study.systems], "value": [0.1 + 0.2, 1e-9]})

def draw(table):
    figure, axes = panels()
    axes.plot(table["seed"], table["value"])
    return figure

def tell(table):
    return f"There are {len(table)} seeds."

MINE = Analysis("mine", "Mine", "How many?", compute, draw, tell)
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module with an analysis in it, and the analysis."""
    path = tmp_path / f"module_{tmp_path.name}.py"
    path.write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return path, find_analysis(f"{path.stem}:MINE")


@pytest.fixture
def study():
    return handmade.study({0: {}, 1: {}})


@pytest.fixture
def done(monkeypatch):
    """The names of analyses that were not reused."""
    names, real = [], running._do

    def note(study, analysis, *rest):
        names.append(analysis.name)
        return real(study, analysis, *rest)

    monkeypatch.setattr(running, "_do", note)
    return names


def test_an_analysis_leaves_whole_files(own, study, tmp_path):
    _, mine = own
    folder = tmp_path / "analysis"
    (result,) = analyse(study, [mine], folder)
    assert {path.name for path in folder.iterdir()} == {"mine.csv", "mine.svg", "mine.png", "mine.json"}
    assert (result.sentence, result.skipped, result.title) == ("There are 2 seeds.", "", "Mine")
    assert json.loads((folder / "mine.json").read_text()) == {**vars(result)}
    table = pd.read_csv(folder / "mine.csv")
    assert table.columns.tolist() == ["seed", "value"] and table["value"].tolist() == pytest.approx([0.3, 1e-9])
    assert ElementTree.parse(folder / "mine.svg").getroot().tag.endswith("svg")
    with Image.open(folder / "mine.png") as image:
        image.load()
        assert image.width == pytest.approx(NARROW * running.PNG_DPI, abs=2)


def test_figures_are_the_same_each_time(own, study, tmp_path):
    _, mine = own
    for name in ("one", "two"):
        analyse(study, [mine], tmp_path / name)
    assert (tmp_path / "one" / "mine.svg").read_bytes() == (tmp_path / "two" / "mine.svg").read_bytes()
    assert (tmp_path / "one" / "mine.csv").read_bytes() == (tmp_path / "two" / "mine.csv").read_bytes()


def test_what_is_there_is_reused(own, study, tmp_path, done, caplog):
    _, mine = own
    with caplog.at_level(logging.INFO):
        (first,) = analyse(study, [mine], tmp_path)
        (second,) = analyse(study, [mine], tmp_path)
        # Another object of the same runs, as another process would have.
        (third,) = analyse(handmade.study({0: {}, 1: {}}), [mine], tmp_path)
    assert done == ["mine"] and first == second == third
    assert caplog.text.count("mine: done (") == 1


def test_other_runs_are_computed_again(own, study, tmp_path, done):
    _, mine = own
    analyse(study, [mine], tmp_path)
    study.rows["left"].runs[1][0].record.id = "another"
    analyse(study, [mine], tmp_path)
    assert done == ["mine"] * 2
    object.__setattr__(study, "subject", "left")
    analyse(study, [mine], tmp_path)
    assert done == ["mine"] * 3
    object.__setattr__(study, "table", {"rows": []})
    analyse(study, [mine], tmp_path)
    assert done == ["mine"] * 4


def test_changed_code_is_computed_again_and_a_comment_is_no_change(own, study, tmp_path, done):
    path, mine = own
    analyse(study, [mine], tmp_path)
    path.write_text(f"# About it.\n{MODULE}")
    analyse(study, [mine], tmp_path)
    assert done == ["mine"]
    path.write_text(MODULE.replace("1e-9", "2e-9"))
    analyse(study, [mine], tmp_path)
    assert done == ["mine", "mine"]


SHARED = (
    *(f"analysis/{name}.py" for name in ("study", "style", "activations", "gradcam", "heads", "outcomes")),
    *("base/statistics.py", "experiments/measures.py", "runs/predictions.py"),
)


@pytest.mark.parametrize("name", SHARED)
def test_changed_shared_code_is_computed_again(own, study, tmp_path, done, name, monkeypatch):
    _, mine = own
    code = shutil.copytree(running.Path(running.__file__).parents[1], tmp_path / "code")
    monkeypatch.setattr(running, "__file__", str(code / "analysis" / "running.py"))
    analyse(study, [mine], tmp_path)
    source = code / name
    source.write_text(f"# A comment.\n{source.read_text()}")
    analyse(study, [mine], tmp_path)
    assert done == ["mine"]
    source.write_text(f"{source.read_text()}\nMORE = 1\n")
    analyse(study, [mine], tmp_path)
    assert done == ["mine", "mine"]


@pytest.mark.parametrize("missing", ["mine.csv", "mine.svg", "mine.png", "mine.json"])
def test_a_missing_file_is_made_again(own, study, tmp_path, done, missing):
    _, mine = own
    analyse(study, [mine], tmp_path)
    (tmp_path / missing).unlink()
    analyse(study, [mine], tmp_path)
    assert done == ["mine", "mine"] and (tmp_path / missing).is_file()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"name": "mine", "inputs": "x"}'])
def test_a_damaged_record_is_made_again(own, study, tmp_path, done, content):
    _, mine = own
    (first,) = analyse(study, [mine], tmp_path)
    (tmp_path / "mine.json").write_text(content)
    (second,) = analyse(study, [mine], tmp_path)
    assert done == ["mine", "mine"] and second.sentence == first.sentence


def refuse(study):
    raise NotApplicableError("there is nothing here")


def test_what_does_not_apply_is_told_and_leaves_no_stale_files(own, study, tmp_path, done):
    _, mine = own
    analyse(study, [mine], tmp_path)
    (result,) = analyse(study, [replace(mine, compute=refuse)], tmp_path)
    assert (result.sentence, result.skipped) == ("", "there is nothing here")
    assert [path.name for path in tmp_path.glob("mine.*")] == ["mine.json"]
    # That is remembered too.
    (again,) = analyse(study, [replace(mine, compute=refuse)], tmp_path)
    assert again == result and done == ["mine", "mine"]
    (result,) = analyse(study, [mine], tmp_path)
    assert result.sentence == "There are 2 seeds." and (tmp_path / "mine.csv").is_file()


def fail(*arguments):
    raise RuntimeError("no\x1b[31m such thing")


def leave(*arguments):
    raise SystemExit(3)


@pytest.mark.parametrize("broken", [{"compute": fail}, {"tell": fail}, {"draw": fail}, {"draw": leave}])
def test_one_that_fails_is_named_with_its_reason_and_all_others_are_done(own, study, tmp_path, done, caplog, broken):
    _, mine = own
    analyse(study, [replace(mine, name="other")], tmp_path)
    other = replace(mine, **{"name": "other", "compute": count} | broken)
    failed, fine = analyse(study, [other, mine], tmp_path)
    assert fine.sentence == "There are 2 seeds." and (failed.sentence, failed.skipped) == ("", "")
    assert ("RuntimeError: no" in failed.failed or "SystemExit" in failed.failed) and "\x1b" not in failed.reason
    # Nothing of an earlier time is left that could be taken for its own.
    assert {path.name for path in tmp_path.glob("other.*")} == {"other.json", "other.error.log"}
    assert "Traceback" in (tmp_path / "other.error.log").read_text()
    assert "other: it failed (" in caplog.text
    with pytest.raises(AnalysesFailedError, match=rf"^other failed, while .*{tmp_path}/other.error.log$") as caught:
        check_none_failed([failed, fine], tmp_path)
    assert caught.value.exit_code == 1
    check_none_failed([fine], tmp_path)
    # It is tried again, and its traceback goes when it succeeds.
    (mended,) = analyse(study, [replace(mine, name="other")], tmp_path)
    assert mended.sentence == "There are 2 seeds." and not (tmp_path / "other.error.log").exists()


def count(study):
    return pd.DataFrame({"seed": [0, 1], "value": [0.1, 0.2]})


def test_what_the_user_can_mend_ends_all(own, study, tmp_path):
    _, mine = own
    before = analyse(study, [mine], tmp_path)

    def refuse(study):
        raise DataError("the images are not those")

    with pytest.raises(DataError):
        analyse(study, [replace(mine, compute=refuse)], tmp_path)
    assert (tmp_path / "mine.csv").is_file() and before == analyse(study, [mine], tmp_path)


@pytest.mark.parametrize("ending", ["csv", "svg", "png"])
def test_a_file_that_somebody_changed_is_made_again(own, study, tmp_path, done, ending):
    _, mine = own
    analyse(study, [mine], tmp_path)
    path = tmp_path / f"mine.{ending}"
    before = path.read_bytes()
    path.write_bytes(b"<svg><script>alert(1)</script></svg>")
    analyse(study, [mine], tmp_path)
    assert done == ["mine", "mine"] and path.read_bytes() == before


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"seconds": "long"},
        {"seconds": float("nan")},
        {"machine": None},
        {"sentence": 5},
        {"text_columns": "seed"},
        {"digests": {}},
    ],
)
def test_a_record_with_other_kinds_of_values_is_made_again(own, study, tmp_path, done, changed):
    _, mine = own
    (first,) = analyse(study, [mine], tmp_path)
    (tmp_path / "mine.json").write_text(json.dumps({**vars(first), **changed}))
    (second,) = analyse(study, [mine], tmp_path)
    assert done == ["mine", "mine"] and replace(second, seconds=0, finished="") == replace(
        first, seconds=0, finished=""
    )


NAMES = ["nan", "NA", "null", "True", "007", "", " a ", "a,b", 'say "x"', "两\u202ehalf", "line\nend", "\0", "\ud800"]


@pytest.mark.filterwarnings("ignore:no font on this machine")
def test_text_in_tables_stays_text_and_loses_its_control_characters(own, study, tmp_path):
    _, mine = own
    table = pd.DataFrame({"class\t": NAMES, "value": [None, *range(len(NAMES) - 1)]})
    named = replace(
        mine, compute=lambda study: table, draw=lambda table: panels()[0], tell=lambda table: table.iloc[5, 0]
    )
    (result,) = analyse(study, [named], tmp_path)
    found = read_table(tmp_path, result)
    assert result.failed == "" and result.text_columns == ["class\\t"]
    assert found["class\\t"].tolist() == [*NAMES[:9], "两\\u202ehalf", "line\\nend", "\\x00", "\\ud800"]
    assert found["value"].isna().tolist() == [True] + [False] * (len(NAMES) - 1)


def test_what_is_no_table_is_told(own, study, tmp_path):
    _, mine = own
    (result,) = analyse(study, [mine], tmp_path)
    for content in (b"", b'a,"b', b"\xff\xfe"):
        (tmp_path / "mine.csv").write_bytes(content)
        with pytest.raises(OutputError, match=r"cannot read .*mine\.csv"):
            read_table(tmp_path, result)


def test_analyses_are_done_in_their_order(own, study, tmp_path):
    _, mine = own
    other = Analysis("other", "Other", "What?", mine.compute, mine.draw, lambda table: "Nothing.")
    found = analyse(study, [other, mine, other], tmp_path)
    assert [result.name for result in found] == ["other", "mine", "other"]
