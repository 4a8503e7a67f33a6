"""Matplotlib's SVG files as parts of a page: they follow its theme, scale with it, and share its ids with no other."""

import re
from xml.etree import ElementTree

from markupsafe import Markup

from ..analysis.style import INK

# Black is what matplotlib takes where nobody chose a colour, as for error bars.
_INK = re.compile(rf"{INK}|#000000|#000(?![0-9a-f])|\bblack\b", re.IGNORECASE)
_REFERENCE = re.compile(r"url\(\s*['\"]?#([^'\")]+)['\"]?\s*\)")
_PAINT = ("style", "fill", "stroke", "color")
_DROPPED = ("metadata", "style", "script", "title", "foreignObject")
"""Elements that would show, style or do something beyond their figure."""


def inline_svg(svg: str, prefix: str, label: str) -> Markup:
    """Give an SVG file as an element of a page, named `label`, with `prefix` before all its ids."""
    root = ElementTree.fromstring(svg)
    for element in list(root.iter()):
        for child in [child for child in element if not isinstance(child.tag, str) or _local(child.tag) in _DROPPED]:
            element.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
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
        attributes[name] = _REFERENCE.sub(rf"url(#{prefix}\1)", value)
    return attributes


def _local(name: str) -> str:
    return name.rpartition("}")[2]
