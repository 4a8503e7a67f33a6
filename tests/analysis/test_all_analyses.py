"""What every analysis promises, on real runs that were trained for seconds: of two seeds, and of one."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from bilateral.analysis.base import ANALYSES, find_analysis
from bilateral.analysis.chance import conclusion
from bilateral.analysis.opening import open_study
from bilateral.analysis.study import NotApplicableError, Study
from bilateral.analysis.style import NARROW, styled
from conftest import INAPPLICABLE

pytestmark = pytest.mark.slow

APPLICABLE = [name for name in ANALYSES if name not in INAPPLICABLE]


def assert_says_something(sentence: str) -> None:
    assert len(sentence) > 20 and sentence.endswith(".") and not sentence[0].islower()
    for word in sentence.replace("(", " ").replace(")", " ").replace(",", " ").split():
        assert word.strip(".;:%+-").lower() not in ("nan", "inf", "none")


@pytest.mark.parametrize("name", APPLICABLE)
def test_two_seeds_by_the_command(tiny_analysed, name):
    folder = tiny_analysed / "analysis"
    result = json.loads((folder / f"{name}.json").read_text())
    assert result["skipped"] == "" and result["name"] == name
    assert_says_something(result["sentence"])
    table = pd.read_csv(folder / f"{name}.csv")
    assert len(table) > 1 and not table.columns.duplicated().any()
    assert "unnamed" not in " ".join(table.columns).lower()
    if "seed" in table and name != "gallery":
        assert set(table["seed"]) == {0, 1}
    drawing = ElementTree.parse(folder / f"{name}.svg")
    assert len(list(drawing.iter())) > 50
    assert float(drawing.getroot().attrib["width"].removesuffix("pt")) <= 72 * NARROW  # a phone shows it whole
    with Image.open(folder / f"{name}.png") as image:
        image.load()
        assert image.width > 600
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("name", APPLICABLE)
def test_the_stored_table_says_the_same(tiny_analysed, name):
    """The report draws its claims from the files."""
    analysis = find_analysis(name)
    table = pd.read_csv(tiny_analysed / "analysis" / f"{name}.csv", dtype={"cell": str, "group": str})
    stored = json.loads((tiny_analysed / "analysis" / f"{name}.json").read_text())
    told = (stored["sentence"], stored["at_chance"])
    assert conclusion(open_study([tiny_analysed]), analysis, table) == told
    assert_says_something(analysis.tell(table))


@pytest.fixture(scope="module")
def one_seed(tiny_experiment) -> Study:
    folder: Path = next((tiny_experiment / "runs").glob("quick-bilateral-*/*-seed1-*"))
    return open_study([folder], [])


def test_without_an_experiment_no_contrasts_were_tested(one_seed):
    with pytest.raises(NotApplicableError, match="only an experiment does"):
        find_analysis("contrasts").compute(one_seed)


@pytest.mark.parametrize("name", [name for name in APPLICABLE if name != "contrasts"])
def test_one_seed(one_seed, name):
    analysis = find_analysis(name)
    table = analysis.compute(one_seed)
    assert len(table) > 1
    assert_says_something(analysis.tell(table))
    with styled():
        figure = analysis.draw(table)
    assert isinstance(figure, Figure) and figure.axes
