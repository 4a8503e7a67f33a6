"""What the report's page shows, and how it becomes HTML.

Matplotlib's SVG files become parts of it: they follow its theme, scale with it, and share its ids with no other.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..analysis.style import INK
from ..base.errors import OutputError
from ..base.text import shown, shown_all

EMBEDDED_BYTES = 200_000
"""A larger table is not embedded in the page."""
_STYLES = ("report.css", "tables.css", "gallery.css")
_SCRIPTS = ("report.js", "tables.js", "maps.js", "detail.js", "gallery.js")
HOLDS, PARTLY, FAILS, UNSHOWN = "holds here", "holds in part", "does not hold here", "not shown here"
OPEN = "not decided"
"""Verdicts on a claim. FAILS: an interval lies on the wrong side. UNSHOWN: it leaves both sides open. OPEN: it takes
more seeds or rows than there are."""
_MARKS = {HOLDS: "✓", PARTLY: "~", FAILS: "✗"}
# Black is what matplotlib takes where nobody chose a colour, as for error bars.
_INK = re.compile(rf"{INK}|#000000|#000(?![0-9a-f])|\bblack\b", re.IGNORECASE)
_REFERENCE = re.compile(r"url\(\s*['\"]?#([^'\")]+)['\"]?\s*\)")
_PAINT = ("style", "fill", "stroke", "color")
_LENGTHS, _DIGITS = ("d", "x", "y", "points"), re.compile(r"-?\d+\.\d{3,}")
"""Attributes in a figure's units, of which a hundredth is seen by nobody."""
_DROPPED = ("metadata", "style", "script", "title", "foreignObject")
"""Elements that would show, style or do something beyond their figure."""


@dataclass(frozen=True)
class Cell:
    """What a cell of a table shows, and the number that it is sorted by, if it is one."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class PageTable:
    """One table. The first `words` columns are words, the others numbers.

    marked: the line that the page is about. about: what is called so in it, explained.
    """

    title: str
    note: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: int = 1
    marked: int | None = None
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """What came of one analysis; `skipped` says why nothing did."""

    name: str
    title: str
    question: str
    sentence: str
    skipped: str
    figure_svg: str
    table_csv: str | None
    provenance: str


@dataclass(frozen=True)
class Finding:
    """A claim, the verdict on it (HOLDS and so on), and why: the conclusion first, then its figures."""

    claim: str
    verdict: str
    evidence: Sequence[str]


@dataclass(frozen=True)
class Gallery:
    """Single images that the explorer shows, of one seed.

    An image: `image` (index), `fine`, `coarse` (names), `cell` (four 0/1: left, right, fine head, coarse head right),
    `picture` (WebP), `predictions` {left, right, fine, coarse: [[name, probability], ...]}, `shares` {fine, coarse: of
    left}, `maps` {fine, coarse: {left, right: map}, merged: {both: map}}; a map has `height`, `width`, `values`
    (uint8). Bytes are base64. `shares` and `maps` may lack what there is not.
    """

    seed: int
    classes: Sequence[str]
    superclasses: Sequence[str]
    coarse_of_fine: Sequence[int]
    images: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Page:
    """All of a report. The first sentence of `answer` is the headline; `hero` is the figure beside it.

    example: a fine label and its coarse one, by which the words are explained. taught: by side, the labels that it
    learnt, in words. facts: what was trained, and on what.
    """

    title: str
    question: str
    answer: Sequence[str]
    example: tuple[str, str]
    taught: Mapping[str, str]
    facts: Mapping[str, str]
    main_table: PageTable
    hero: Section
    findings: Sequence[Finding]
    sections: Sequence[Section]
    tables: Sequence[PageTable]
    gallery: Gallery | None
    config_yaml: str
    provenance: Mapping[str, str]
    notes: Sequence[str]


def render(page: Page) -> str:
    """Give the whole page: it loads nothing, and runs no script but its own."""
    environment = Environment(
        loader=PackageLoader("bilateral.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    environment.filters |= {
        "data_link": lambda text: f"data:text/csv;charset=utf-8,{quote(text, safe=',')}",
        "lead": lead,
        "mark": lambda verdict: _MARKS.get(verdict, "?"),
    }
    script = _joined(environment, _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    anchors = _anchors([section.name for section in page.sections])
    return environment.get_template("report.html.j2").render(
        page=page,
        sections=list(zip(anchors, page.sections)),
        figure=_figure,
        gallery_json=_json(asdict(page.gallery)) if page.gallery else None,
        embedded_bytes=EMBEDDED_BYTES,
        styles=Markup(_joined(environment, _STYLES)),
        script=Markup(script),
        script_digest=digest,
    )


def lead(text: str) -> tuple[str, str]:
    """Part the first sentence of a text, its conclusion, from what follows.

    >>> lead("It is 2.5 points better. That is little.")
    ('It is 2.5 points better.', 'That is little.')
    """
    first, *rest = re.split(r"(?<=[.?!]) (?=[A-Z“])", text, maxsplit=1)
    return first, "".join(rest)


def _figure(section: Section, anchor: str) -> Markup:
    try:
        return inline_svg(section.figure_svg, f"{anchor}.", shown(f"{section.title}. {section.sentence}".strip()))
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise OutputError(
            f"the figure of {section.name} is no SVG of ours ({error}); delete the folder of the analyses and try again"
        ) from error


def _plain(value: Any) -> Any:
    """What is written into the page: text without control characters or a figure apart from its %; HTML stays."""
    return (
        shown(value, lines=True).replace(" %", "\u00a0%")
        if isinstance(value, str) and not isinstance(value, Markup)
        else value
    )


def _anchors(names: Sequence[str]) -> list[str]:
    """Ids that no other part of the page has."""
    anchors: list[str] = []
    for name in names:
        anchor = "analysis-" + re.sub(r"[^A-Za-z0-9_-]+", "-", name)
        anchors.append(anchor if anchor not in anchors else f"{anchor}-{len(anchors)}")
    return anchors


def _joined(environment: Environment, names: Sequence[str]) -> str:
    assert environment.loader
    return "\n".join(environment.loader.get_source(environment, name)[0] for name in names)


def _json(content: Any) -> Markup:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(shown_all(content), allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"))


def inline_svg(svg: str, prefix: str, label: str) -> Markup:
    """Give an SVG file as an element of a page, named `label`, with `prefix` before all its ids."""
    root = ElementTree.fromstring(svg)
    for element in list(root.iter()):
        for child in [child for child in element if not isinstance(child.tag, str) or _local(child.tag) in _DROPPED]:
            element.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.tail = None  # the file's indentation
        element.attrib = _attributes(element.attrib, prefix)
    for name in ("width", "height", "version", "id"):
        root.attrib.pop(name, None)
    width = float(root.get("viewBox", "0 0 576 360").split()[2])
    # A fill that is left out is black, and so is to be ink.
    root.attrib |= {"role": "img", "aria-label": label, "fill": "currentColor", "style": f"--width: {width:g}"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _attributes(given: dict[str, str], prefix: str) -> dict[str, str]:
    attributes = {}
    for name, value in given.items():
        name = _local(name)
        if name.startswith("on"):
            continue
        if name == "id":
            value = prefix + value
        elif name == "href" and value.startswith("#"):
            value = f"#{prefix}{value[1:]}"
        elif name in _PAINT:
            value = _INK.sub("currentColor", value)
        elif name in _LENGTHS:
            value = _DIGITS.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value)
        attributes[name] = _REFERENCE.sub(rf"url(#{prefix}\1)", value)
    return attributes


def _local(name: str) -> str:
    return name.rpartition("}")[2]
