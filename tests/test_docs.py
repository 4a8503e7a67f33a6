"""The pages of the documentation: their links, which `make docs` follows too, and that the site shows all of them."""

import os
import re
from pathlib import Path

import pytest

from bilateral.base.yaml_files import read_yaml

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("results/**/*.md")]
SITE = read_yaml(ROOT / "mkdocs.yml")
SHOWN = {path for pattern in SITE["extra"]["shown"] for path in ROOT.glob(pattern)}
LINK = re.compile(r"\]\(([^()\s]+)\)")


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_here(page):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for link in LINK.findall(text):
        if not link.startswith(("https://", "#")):
            path, _, anchor = link.partition("#")
            target = page.parent / path
            assert target.is_file(), f"{link}: no such file (a folder has no page on the site)"
            assert Path(os.path.normpath(target)) in SHOWN, f"{link}: not on the site (mkdocs.yml, extra.shown)"
            assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def test_the_site_lists_every_page_once():
    listed = re.findall(r"'([^']+\.md)'", str(SITE["nav"]))
    pages = [str(page.relative_to(ROOT)) for page in PAGES]
    assert len(listed) == len(set(listed)) and set(listed) <= set(pages)
    assert {page for page in pages if not page.startswith("results/")} <= set(listed)
