import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote

import pytest

from bilateral.report.page import Cell, PageTable, inline_svg, lead, render

from . import example

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"


class Elements(HTMLParser):
    """All start tags with their attributes, and the text of scripts."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.scripts = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts.append((self.tags[-1][1], data))

    def values(self, attribute):
        return [given[attribute] for _, given in self.tags if attribute in given]


def elements(**changed):
    return Elements(render(example.page(**changed)))


def gallery_data(found):
    [text] = [text for attributes, text in found.scripts if attributes.get("id") == "gallery-data"]
    assert "<" not in text  # a browser ends a script at more than Python's parser does
    return json.loads(text)


def test_a_hostile_name_is_text_wherever_it_stands():
    image = {**example.gallery_image(0), "fine": HOSTILE}
    gallery = replace(example.gallery(), images=[image], classes=[HOSTILE])
    table = PageTable(HOSTILE, HOSTILE, [HOSTILE], [[Cell(HOSTILE)]])
    section = replace(
        example.section(
            HOSTILE, HOSTILE, example.curves().replace(">epoch<", ">&lt;/svg&gt;&lt;img src=x&gt;<"), HOSTILE
        ),
        provenance=HOSTILE,
    )
    found = elements(
        title=HOSTILE,
        question=HOSTILE,
        answer=[HOSTILE],
        main_table=table,
        sections=[section, replace(section, skipped=HOSTILE)],
        gallery=gallery,
        config_yaml=HOSTILE,
        provenance={HOSTILE: HOSTILE},
        notes=[HOSTILE],
    )
    assert not [given for tag, given in found.tags if tag == "img" or "onerror" in given]
    assert gallery_data(found)["images"][0]["fine"] == HOSTILE
    assert gallery_data(found)["classes"] == [HOSTILE]


def test_ids_are_unique_though_figures_share_theirs():
    figure = example.curves()
    same = [example.section("cka", "One", figure), example.section("cka", "Two", figure)]
    found = elements(
        hero=example.section("cka", "Hero", figure), sections=[*same, example.section("c/k.a", "3", figure)]
    )
    twice = [name for name, count in Counter(found.values("id")).items() if count > 1]
    assert len(found.values("id")) > 100 and not twice


def test_references_lead_to_ids_of_their_own_figure():
    html = str(inline_svg(example.curves(), "own.", "A figure"))
    referred = re.findall(r'href="#([^"]+)"', html) + re.findall(r"url\(#([^)]+)\)", html)
    assert referred and all(name.startswith("own.") for name in referred)
    assert set(referred) <= set(Elements(html).values("id"))


def test_a_figure_follows_the_theme_and_has_a_name():
    html = str(inline_svg(example.curves(), "a.", "Curves. They fall."))
    [(_, root)] = [found for found in Elements(html).tags if found[0] == "svg"]
    assert root["role"] == "img" and root["aria-label"] == "Curves. They fall."
    assert "width" not in root and "height" not in root and root["viewbox"].startswith("0 0 374.4 ")
    assert not re.search("#2b2b33|#000000|DOCTYPE|<metadata|<style", html)
    assert "stroke: currentColor" in html and "fill: currentColor" in html and "#0072b2" in html


def test_nothing_is_loaded_from_anywhere():
    found = elements()
    links = [given[name] for _, given in found.tags for name in ("src", "href", "action") if name in given]
    assert links and all(link.startswith(("#", "data:")) for link in links)
    html = render(example.page())
    assert not re.search(r"https?://(?!www\.w3\.org/)", html) and "@import" not in html
    [policy] = [given["content"] for tag, given in found.tags if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "script-src 'unsafe" not in policy


def test_cells_carry_what_they_are_sorted_by():
    html = render(example.page())
    assert '<td class="number" data-value="63.08">63.08 <span class="deviation">± 0.44</span></td>' in html
    assert '<td class="number">–</td>' in html
    assert '<th scope="row">left alone</th>' in html


def test_a_small_table_can_be_saved_and_a_large_one_is_only_named():
    found = elements()
    [link] = [given for tag, given in found.tags if tag == "a" and "download" in given]
    assert link["download"] == "cka.csv"
    assert unquote(link["href"].partition(",")[2]) == "stage,cka\nconv1,0.8\n"
    assert "curves.csv (200.0 kB) is too large" in render(example.page())


def test_the_conclusion_stands_before_its_figures_and_the_row_in_question_is_marked():
    html = render(example.page())
    assert '<p class="lead">Similarity of stages: left falls from 0.80 to 0.05.</p>' in html
    assert '<p class="lead">-0.4 points.</p>' in html and "<li>-0.6 points.</li>" in html
    [row] = re.findall(r'<tr class="marked">\s*<th scope="row">([^<]*)', html)
    assert row == list(example.ROWS)[7]
    assert lead("“a” gains 2.5 points. “b” loses. So?") == ("“a” gains 2.5 points.", "“b” loses. So?")
    assert lead("One alone") == ("One alone", "")


def test_what_the_lines_of_a_table_are_is_explained_below_it():
    table = replace(example.main_table(), about={"a <b>": "One & only."})
    html = render(example.page(main_table=table))
    assert "<dt>a &lt;b&gt;</dt><dd>One &amp; only.</dd>" in html and html.count("What each network is") == 1
    assert "What each network is" not in render(example.page())


def test_what_was_skipped_says_why():
    assert "Not shown: these runs have no parts" in render(example.page())


def test_without_a_gallery_there_is_no_explorer():
    found = elements(gallery=None)
    assert "explorer" not in found.values("id") and "#gallery" not in found.values("href")


@pytest.mark.parametrize("empty", ["findings", "sections", "tables", "notes", "answer"])
def test_what_is_empty_leaves_no_heading(empty):
    found = elements(**{empty: []})
    assert empty not in found.values("id") and f"#{empty}" not in found.values("href")
    html = render(example.page(**{empty: []}))
    levels = [int(level) for level in re.findall(r"<h(\d)", html)]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))


def test_a_number_that_json_does_not_know_is_refused():
    gallery = replace(example.gallery(), images=[{**example.gallery_image(0), "shares": {"fine": float("nan")}}])
    with pytest.raises(ValueError):
        render(example.page(gallery=gallery))
