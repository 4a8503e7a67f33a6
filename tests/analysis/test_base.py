import importlib
from pathlib import Path

import pytest

from bilateral.analysis import base
from bilateral.analysis.base import ANALYSES, Analysis, find_analysis, own_analyses
from bilateral.base.errors import ConfigError

HELPERS = {"base", "study", "running", "chance", "style", "activations", "heads", "gradcam"}
HELPERS |= {"__init__", "opening", "silenced"}


def test_every_file_that_is_no_helper_is_an_analysis():
    files = {path.stem for path in Path(base.__file__).parent.glob("*.py")}
    assert set(ANALYSES) == files - HELPERS and len(set(ANALYSES)) == len(ANALYSES)
    for name in ANALYSES:
        found = find_analysis(name)
        assert found.name == name and found.title and found.question.endswith("?")
        module = importlib.import_module(f"bilateral.analysis.{name}")
        assert (found.compute, found.draw, found.tell) == (module.compute, module.draw, module.tell)


def test_one_of_ones_own_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_analyses.py").write_text(
        "from bilateral.analysis.base import Analysis\n"
        "def compute(study): ...\n"
        "MINE = Analysis('mine', 'Mine', 'Why?', compute, repr, str)\n"
        "TAKEN = Analysis('cka', 'Mine', 'Why?', compute, repr, str)\n"
        "OUTSIDE = Analysis('../mine', 'Mine', 'Why?', compute, repr, str)\n"
        "BUILT_IN = Analysis('mine', 'Mine', 'Why?', len, repr, str)\n"
        "RESTLESS = Analysis('mine', 'Mine', 'Why?', compute, repr, str, ['fien'])\n"
        "OTHER = 5\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = find_analysis("my_analyses:MINE")
    assert own_analyses(["my_analyses:OTHER", "my_analyses:MINE", "json:loads"]) == [found]
    assert isinstance(found, Analysis) and found.name == "mine"
    for name, reason in {
        "OTHER": "'my_analyses:OTHER' is no",
        "TAKEN": "its name 'cka' must be a word that no analysis has yet",
        "OUTSIDE": "its name '../mine' must be a word",
        "BUILT_IN": "its `compute` must be a function of a module",
        "RESTLESS": "its `rests_on` may have fine, coarse, left, right, not ..fien",
    }.items():
        with pytest.raises(ConfigError, match=reason):
            find_analysis(f"my_analyses:{name}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ckaa", "unknown analysis 'ckaa'; did you mean cka\\? allowed: contrasts, "),
        ("study", "unknown analysis 'study'"),
        ("", "unknown analysis ''"),
        (
            "nowhere:MINE",
            "the analysis: cannot import 'nowhere:MINE': .* named 'nowhere'; it was looked for in",
        ),
        ("json:MINE", "the analysis: cannot import 'json:MINE': AttributeError"),
        (":MINE", "must have the form"),
        ("json:dumps", "is no bilateral.analysis.base.Analysis"),
    ],
)
def test_what_is_no_analysis_is_told(name, message):
    with pytest.raises(ConfigError, match=message):
        find_analysis(name)
