import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml

from bilateral.analysis.base import ANALYSES, find_analysis
from bilateral.analysis.opening import open_study
from bilateral.analysis.running import AnalysisResult, read_table
from bilateral.models.config import SIDES
from bilateral.report.claims import AT_CHANCE
from bilateral.report.contents import HEROES, MAIN, contents
from bilateral.report.page import EMBEDDED_BYTES, OPEN, render
from conftest import INAPPLICABLE

pytestmark = pytest.mark.slow  # they need all analyses of an experiment


@pytest.fixture(scope="module")
def study(tiny_analysed):
    return open_study([tiny_analysed], [])


@pytest.fixture(scope="module")
def guessing(tiny_analysed):
    """The results as they are: of networks at chance."""
    stored = [json.loads((tiny_analysed / "analysis" / f"{name}.json").read_text()) for name in ANALYSES]
    return [AnalysisResult(**result) for result in stored]


@pytest.fixture(scope="module")
def results(guessing, tiny_analysed):
    """The same as if these networks knew something."""

    def told(result):
        return find_analysis(result.name).tell(read_table(tiny_analysed / "analysis", result))

    return [each if each.reason else replace(each, sentence=told(each), at_chance=False) for each in guessing]


@pytest.fixture(scope="module")
def page(study, results):
    return contents(study, results, study.folder / "analysis")


def test_the_answer_comes_first_and_every_analysis_once(page, results, study):
    assert page.answer[0] == results[0].sentence and page.hero.name == "contrasts"
    assert list(page.answer[1:]) == study.table["doubts"] != []
    # What the opening and the explorer show stands there alone.
    shown = [result for result in results if result.name not in ("contrasts", "gallery")]
    assert [section.name for section in page.sections] == [result.name for result in shown]
    for section, result in zip(page.sections, shown):
        assert (section.title, section.sentence, section.skipped) == (result.title, result.sentence, result.skipped)
        assert bool(result.skipped) == (result.name in INAPPLICABLE)
        assert result.skipped or ("<svg" in section.figure_svg and result.finished in section.provenance)
    assert page.title.startswith("quick") and page.question.endswith("?")
    assert page.facts["Data"] == "shapes, 40 fine and 8 coarse labels" and page.facts["Seeds"] == "2"
    assert "With" not in page.facts  # anything beside plain hemispheres
    assert page.main_table.rows[page.main_table.marked][0].text == study.rows["specialised"].title


@pytest.mark.parametrize(
    ("before", "question", "left", "right"),
    [
        (("left", "right"), "Are two specialised hemispheres better than other networks?", "fine", "coarse"),
        (("right", "right"), "Is “{title}” better than other networks?", "coarse", "coarse"),
        ((), "Is “{title}” better than other networks?", "fine and coarse", "fine and coarse"),
    ],
)
def test_the_first_screen_tells_what_each_side_learnt(before, question, left, right, study, results):
    other = study.of(study.subject)
    (first, *_) = study.systems
    other.__dict__["systems"] = [replace(first, alone={side: first.alone[kind] for side, kind in zip(SIDES, before)})]
    page = contents(other, results, study.folder / "analysis")
    assert page.question == question.format(title=study.rows[study.subject].title)
    assert page.taught == {"left": f"{left} labels", "right": f"{right} labels"}
    html = render(page)
    assert f"left learns {left} labels, right {right} labels." in html
    assert f"left hemisphere trained on {left} labels and a right one trained on {right} labels" in html


def test_what_is_at_chance_is_said_once_and_nothing_is_concluded(study, guessing):
    page = contents(study, guessing, study.folder / "analysis")
    heads = guessing[0].sentence
    assert heads.startswith("The fine head and the coarse head are at chance (") and page.answer[0] == heads
    assert [(each.verdict, each.evidence) for each in page.findings] == [(OPEN, [AT_CHANCE])] * 2
    said = {result.name: result.sentence for result in guessing}
    for section in page.sections:
        first = section.name in ("outcomes", "specialisation", "cka", "probes", "confusion", "parts")
        assert section.skipped or section.sentence == (said[section.name] if first else AT_CHANCE)
        assert section.skipped or "<svg" in section.figure_svg


class Visible(HTMLParser):
    """The sentences that a page shows, but for names in tables and figures, contents, and where analyses come from."""

    def __init__(self, html):
        super().__init__()
        self.open, self.texts = [], [""]
        self.feed(html)
        parts = [part for text in self.texts for part in re.split(r"(?<=[.?!])\s+", " ".join(text.split()))]
        self.sentences = [part for part in parts if len(part.split()) > 6 and part[-1] in ".?!"]

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(dict(attributes).get("class") if tag in ("details", "span") else tag)
        self.texts += [""] * (tag not in ("b", "span", "strong", "a"))

    def handle_endtag(self, tag):
        self.open.pop()
        self.texts += [""] * (tag not in ("b", "span", "strong", "a"))

    def handle_data(self, data):
        if not {"head", "script", "svg", "nav", "table", "pre", "data", "visually-hidden"} & {*self.open}:
            self.texts[-1] += data


@pytest.mark.parametrize("of", ["results", "guessing"])
def test_no_sentence_stands_twice(study, of, request):
    page = contents(study, request.getfixturevalue(of), study.folder / "analysis")
    found = Visible(render(page)).sentences
    assert page.answer[0] in found and page.notes[0] in found and len(found) > 50
    assert [each for each in found if sum(each.rstrip(".") in other for other in found) > 1] == []


def test_the_main_table_is_the_experiments(page, study):
    recorded = {row["title"]: row for row in study.table["rows"]}
    assert page.main_table.headings[:4] == ["network", "n", "fine", "coarse"]
    assert [row[0].text for row in page.main_table.rows] == list(recorded) == list(page.main_table.about)
    assert page.main_table.about[study.rows["left"].title] == "The left hemisphere, which learns fine labels."
    names = ("fine_pct", "coarse_pct", "joint_fine_pct", "joint_coarse_pct")
    for title, count, *cells in page.main_table.rows:
        by_seed = recorded[title.text]["by_seed"].values()
        assert (count.text, count.value) == ("2", 2) and len(cells) == len(names)
        for name, cell in zip(names, cells):
            values = [own[name] for own in by_seed if name in own]
            if values:
                assert cell.value == pytest.approx(sum(values) / 2) and cell.text.startswith(
                    f"{sum(values) / 2:.2f} ± "
                )
            else:
                assert cell.value is None and cell.text == "–"


def test_recorded_comparisons_are_tables_that_can_be_sorted(page, study):
    titles = [table.title for table in page.tables]
    assert titles == [
        "bilateral, specialised, minus each other network, points",
        "All other measures: agreement of both heads, mistakes, calibration",
        "Robustness, fine accuracy, %",
        "Left's share in each head, by class",
        "Size and cost of each network",
        "Size and cost of each part of the bilateral network",
    ]
    contrasts, quality, robust, shares, costs, parts = page.tables
    assert [row[0].text for row in quality.rows] == [row.title for row in study.rows.values()]
    assert len(contrasts.rows) == len(study.table["contrasts"]) == 2
    for row, each in zip(contrasts.rows, study.table["contrasts"]):
        assert len(row) == len(contrasts.headings) and row[0].text == study.rows[each["other"]].title
        assert row[3].value == each["difference"]["mean"] and row[-1].text == each["verdict"] == "no verdict"
    assert [row[0].text for row in robust.rows] == [t.title for n, t in study.rows.items() if n != "right"]
    assert robust.headings[:2] == ["network", "clean"] and "on 80 test images" in robust.note
    assert all(len(row) == len(robust.headings) == 10 for row in robust.rows)
    table = pd.read_csv(study.folder / "analysis" / "robustness.csv")
    own = table[(table["row"] == "specialised") & (table["level"] == "fine") & (table["corruption"] == "contrast")]
    (specialised,) = [row for row in robust.rows if row[0].text == study.rows["specialised"].title]
    contrast = specialised[[heading.startswith("contrast") for heading in robust.headings].index(True)]
    assert contrast.value == pytest.approx(own["accuracy_pct"].mean(), abs=1e-4) and " ± " in contrast.text
    assert len(shares.rows) == 40 + 8
    table = pd.read_csv(study.folder / "analysis" / "head_shares.csv")
    own = table[(table["level"] == "coarse") & (table["label"] == study.hierarchy.coarse_names.index("star"))]
    (star,) = [row for row in shares.rows if (row[0].text, row[1].text) == ("coarse", "star")]
    assert star[2].value == pytest.approx(100 * own["share"].mean())
    wrong = own[own["right"] == 0]["share"]
    assert star[4].value == (pytest.approx(100 * wrong.mean()) if len(wrong) else None)
    for row, each in zip(costs.rows, study.table["rows"], strict=True):
        assert row[0].text == each["title"] and row[1].value == each["parameters"]
        assert row[costs.headings.index("PFLOPs of training")].value == pytest.approx(each["training_pflops"], rel=1e-5)
    total = next(each for each in study.table["rows"] if each["name"] == "specialised")["parameters"]
    assert sum(row[3].value for row in parts.rows) == total and parts.headings[:3] == ["where", "part", "output"]


def test_the_gallery_has_the_images_with_their_maps(page, study):
    gallery = page.gallery
    assert gallery.seed == 0 and len(gallery.images) == 80
    assert gallery.classes == study.hierarchy.fine_names and gallery.superclasses == study.hierarchy.coarse_names
    for image in gallery.images:
        assert image["fine"] == study.hierarchy.fine_names[study.images.fine[image["image"]]]
        assert len(image["cell"]) == 4 and set(image["cell"]) <= {"0", "1"}
        assert set(image["predictions"]) == {"left", "right", "fine", "coarse"}
        assert set(image["maps"]) == {"fine", "coarse", "merged"} and set(image["shares"]) == {"fine", "coarse"}


def test_without_images_nothing_of_the_gallery_is_there(study, results):
    page = contents(study, results, study.folder / "analysis", with_images=False)
    assert page.gallery is None and "gallery" not in [section.name for section in page.sections]
    assert any("Made without test images" in note for note in page.notes)
    picture = pd.read_csv(study.folder / "analysis" / "gallery.csv")["picture"].iloc[0]
    html = render(page)
    assert picture not in html and picture in render(contents(study, results, study.folder / "analysis"))


def test_where_it_comes_from(page, study):
    shown = yaml.safe_load(page.config_yaml)
    # A page that is handed on does not tell where things lie.
    assert shown["model"]["left"]["width"] == 0.0625 and "save_dir" not in shown and "root" not in shown["data"]
    assert page.provenance["seeds"] == "0, 1" and page.provenance["protocol"] == "clean"
    assert page.provenance["data set"].startswith("shapes, fingerprint ")
    assert page.provenance["networks looked into"] == "bilateral, specialised"
    assert any(note.startswith("2 seeds: intervals") for note in page.notes)


def test_what_says_nothing_is_told_and_large_tables_are_left_out(study, results, tmp_path):
    folder = shutil.copytree(study.folder / "analysis", tmp_path / "analysis")
    for path in folder.glob("lesions.*"):
        path.unlink()
    (folder / "probes.csv").write_text("x\n" + "1\n" * EMBEDDED_BYTES)
    changed = [replace(r, skipped="there is nothing", sentence="") if r.name == "lesions" else r for r in results]
    page = contents(study, changed, folder)
    sections = {section.name: section for section in page.sections}
    assert (sections["lesions"].skipped, sections["lesions"].figure_svg, sections["lesions"].table_csv) == (
        "there is nothing",
        "",
        None,
    )
    assert sections["severity"].table_csv.startswith("row,title,seed")
    html = render(page)
    assert "probes.csv (" in html and 'download="probes.csv"' not in html and 'download="severity.csv"' in html
    # The claim that rests on it is left out.
    assert len(page.findings) == 1 and "there is nothing" in html


def test_one_seed_without_an_experiment(tiny_experiment, study, results, tmp_path):
    run = next((tiny_experiment / "runs").glob("quick-bilateral-*/*-seed0-*"))
    alone = open_study([run], [])
    folder = shutil.copytree(study.folder / "analysis", tmp_path / "analysis")
    analysis = find_analysis("differences")
    analysis.compute(alone).to_csv(folder / "differences.csv", index=False)
    page = contents(alone, results, folder)
    assert any(note.startswith("One seed") for note in page.notes) and len(page.tables) == 5
    assert page.provenance["seeds"] == "0" and page.main_table.rows[0][1].text == "1"
    assert render(page)


def test_where_nothing_is_compared_the_page_says_so(study, results, tmp_path):
    folder = shutil.copytree(study.folder / "analysis", tmp_path / "analysis")
    skipped = [
        replace(each, sentence="", skipped="there is nothing to compare") if each.name in HEROES else each
        for each in results
    ]
    page = contents(replace(study, table=None), skipped, folder)
    assert page.answer == ["No answer, for no analysis that answers it was done."] and "No answer" in render(page)


def test_the_answer_says_first_what_came_against_one_hemisphere(study, results):
    found = [replace(results[0], sentence="Not shown against “a”. Why."), *results[1:]]
    page = contents(study, found, study.folder / "analysis")
    points = r"\(fine labels [+-]\d+\.\d, coarse labels [+-]\d+\.\d points\)"
    assert re.fullmatch(rf"[A-Z].* against each hemisphere alone {points}; not shown against “a”. Why.", page.answer[0])


def test_without_contrasts_all_differences_are_shown_in_their_place(study, results):
    skipped = [replace(results[0], sentence="", skipped="no contrasts"), *results[1:]]
    page = contents(replace(study, table=None), skipped, study.folder / "analysis")
    assert page.hero.name == "differences" and page.answer == [results[1].sentence]
    # What no table has recorded is measured.
    both = next(row for row in page.main_table.rows if row[0].text == study.rows["specialised"].title)
    assert [cell.value for cell in both[2:]] == pytest.approx(
        [next(r for r in study.table["rows"] if r["name"] == "specialised")[name] for name in MAIN], abs=1e-6
    )


def test_a_class_may_be_called_null(study, results, tmp_path):
    folder = shutil.copytree(study.folder / "analysis", tmp_path / "analysis")
    table = pd.read_csv(folder / "gallery.csv", dtype={"cell": str})
    table.assign(fine="null").to_csv(folder / "gallery.csv", index=False)
    page = contents(study, results, folder)
    assert page.gallery.images[0]["fine"] == "null" and render(page)
