"""How all figures look: sizes, and colours that colour-blind people can tell apart, each with one meaning.

Fonts are for text of any script: DejaVu Sans first, then whatever on this machine has the characters that it lacks.
"""

import logging
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import font_manager, ft2font, get_data_path, rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import StrCategoryFormatter
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter, LogFormatterMathtext, LogFormatterSciNotation

from ..base.statistics import FirstPlace, summarise
from ..base.text import shown
from ..experiments.published import find

if TYPE_CHECKING:
    from pandas import DataFrame

FIRST = "DejaVu Sans"
READERS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Source Han Sans", "WenQuanYi Micro Hei"),
    *("IPAexGothic", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei"),
    *("Malgun Gothic", "Arial Unicode MS", "Noto Emoji", "Segoe UI Emoji"),
)
"""Families that other machines have: a figure as SVG holds text, which its reader's machine draws."""
_PACKAGE, _FILE = "noto_cjk_sans_otc", "NotoSansCJK-Regular.ttc"
"""Where a font for Chinese, Japanese and Korean comes from, on a machine that has none."""

INK = "#2b2b33"
"""Of all text and axes. A page with a dark theme replaces it, and it alone."""

# Okabe and Ito 2008.
COLOURS = {
    "left": "#0072b2",
    "right": "#d55e00",
    "bilateral": "#009e73",
    "fine": "#56b4e9",
    "coarse": "#e69f00",
    "other": "#8a8a93",
    "extra": "#cc79a7",
}
ROWS = {
    # colour, line, marker
    "left": (COLOURS["left"], "-", "o"),
    "right": (COLOURS["right"], "-", "s"),
    "side_by_side": (COLOURS["other"], "-", "D"),
    "unilateral": (COLOURS["extra"], "-", "^"),
    "unilateral_long": ("#9b5f9e", ":", ">"),
    "unilateral_wide": ("#b04a78", "--", "v"),
    "nonspecialised": (COLOURS["coarse"], "-", "P"),
    "two_left": ("#6a7fd1", ":", "<"),
    "two_right": ("#c07a52", ":", ">"),
    "untrained": ("#9a8f7c", ":", "x"),
    "specialised": (COLOURS["bilateral"], "-", "*"),
    "fine_tuned": ("#5fb34a", "--", "X"),
    "hemispheres_ensemble": (COLOURS["fine"], "--", "h"),
}
"""The rows of an experiment, in every figure alike; see `row_style`."""
FURTHER = (
    *("#8b6fe0", "#a89600", "#17a2a8", "#e0607e", "#7a9a01", "#a0522d", "#c060e0", "#607d8b", "#3f7fff", "#ff8a65"),
    *("#7b7b3a", "#d65db1"),
)
"""Colours of all other rows, in their order; those beyond them have the same with another line and marker."""
_others: ContextVar[tuple[str, ...]] = ContextVar("others", default=())
SEQUENTIAL, DIVERGING = "cividis", "PuOr"
"""Colour maps for quantities from nothing to much, and for those around zero."""

_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": [FIRST],
    "text.parse_math": False,  # a class may be called $x$
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.color": COLOURS["other"],
    "errorbar.capsize": 2,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "bilateral",
    "image.interpolation": "nearest",
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color"), INK
    ),
}
LONGEST_NAME, LONGEST_LINE = 48, 120
"""Of a tick's or a legend's text, and of any other; in letters, of which Chinese characters count two."""
NARROW = 5.2
"""Inches of a figure that a phone shows whole, so that panels stand below each other where they can."""
LONGEST_CLASS = 32
"""Of the name of a class, beside many others."""
_told: set[str] = set()


def families(text: str) -> tuple[list[str], set[str]]:
    """The families that `text` is drawn with, in order, and those of its characters that none of them has.

    Text that DejaVu Sans has is drawn with it, which is what `sans-serif` means in our figures.
    """
    # Joiners and choices of a variant need no glyph.
    drawn = {c for c in text if not c.isascii() and unicodedata.category(c) not in ("Cf", "Mn", "Zl", "Zp", "Zs")}
    missing = drawn - _characters(str(font_manager.findfont(FIRST)))
    if not missing:
        return ["sans-serif"], set()
    found = []
    for family, path in _candidates():
        if covered := missing & _characters(path):
            found.append(family)
            missing = missing - covered
        if not missing:
            break
    return list(dict.fromkeys([FIRST, *found, *READERS, "sans-serif"])), missing


@cache
def _characters(path: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, ft2font.FT2Font(path).get_charmap()))
    except (OSError, RuntimeError):  # a font that cannot be read here, such as one of pictures
        return frozenset()


def _candidates() -> Iterator[tuple[str, str]]:
    """Upright fonts by family and file: those with the known names first, then the package's, then all others."""
    # Beside DejaVu, those that come with matplotlib are for mathematics, and one has boxes for all.
    others = [font for font in font_manager.fontManager.ttflist if not Path(font.fname).is_relative_to(get_data_path())]
    regular = (400, "normal", "regular", "book")
    fonts = {font.name: font.fname for font in others if font.style == "normal" and font.weight in regular}
    yield from ((name, fonts[name]) for name in READERS if name in fonts)
    package = find_spec(_PACKAGE)
    file = Path(package.origin).parent / _FILE if package and package.origin else None
    if file is not None and file.is_file():
        name = ft2font.FT2Font(str(file)).family_name
        if name not in fonts:
            font_manager.fontManager.addfont(file)
        yield name, str(file)
    yield from ((name, path) for name, path in fonts.items() if name not in READERS)


@contextmanager
def styled(text: str = "", rows: Iterable[str] = ()) -> Iterator[None]:
    """Make and save figures within this. text: what they show, for whose characters fonts are found.

    rows: of the whole study, so that each has its own colour, the same one in every figure (`row_style`).
    Warns once in a process of characters that no font on this machine has.
    """
    found, missing = families(text)
    if new := missing - _told:
        _told.update(new)
        warnings.warn(
            f"no font on this machine has {' '.join(sorted(new)[:10])}, so that PNG figures show boxes for "
            f"{len(new)} character{'s' * (len(new) > 1)}: install one that does (for Chinese, Japanese and Korean: pip "
            "install noto-cjk-sans-otc), delete the folder of the figures, and run this again",
            stacklevel=1,
        )
    settings: Any = {**_SETTINGS, "font.family": found}
    log = logging.getLogger("matplotlib.font_manager")
    level = log.level
    # It would tell of every family that this machine lacks, and of every glyph each time.
    log.setLevel(logging.ERROR)
    before = _others.set(tuple(row for row in rows if row not in ROWS))
    try:
        with rc_context(settings), warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph \d+|constrained_layout not applied")
            yield
    finally:
        _others.reset(before)
        log.setLevel(level)


def tidy(figure: Figure) -> None:
    """Make a figure's texts plain: long names are cut, control characters are escapes, ticks need no mathematics."""
    names = {text for legend in figure.findobj(Legend) for text in legend.get_texts()}
    for text in figure.findobj(Text):
        text.set_text(short(text.get_text(), LONGEST_NAME if text in names else LONGEST_LINE))
    for axis in figure.findobj(Axis):
        formatter, base = axis.get_major_formatter(), getattr(axis.get_transform(), "base", 10)
        if isinstance(formatter, LogFormatterMathtext):
            axis.set_major_formatter(PowersFormatter(base))
        elif isinstance(formatter, FixedFormatter | FuncFormatter | StrCategoryFormatter):
            axis.set_major_formatter(FuncFormatter(lambda value, place, write=formatter: short(write(value, place))))
        if isinstance(axis.get_minor_formatter(), LogFormatterMathtext):
            axis.set_minor_formatter(PowersFormatter(base))


def short(text: str, most: int = LONGEST_NAME) -> str:
    """Text, each line of which ends in an ellipsis where it is longer than `most` letters."""
    return "\n".join(_cut(line, most) for line in shown(str(text), lines=True).split("\n"))


def _cut(line: str, most: int) -> str:
    if len(line) <= most // 2:
        return line
    width = 0
    for place, character in enumerate(line):
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width > most:
            return f"{line[: place - 1]}…"
    return line


class PowersFormatter(LogFormatterSciNotation):
    """The ticks of a logarithmic axis as plain text, 3×10⁻², since mathematics is switched off."""

    _SMALL = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    _PARTS = re.compile(r"(\\times)|\^\{([-0-9]+)\}|\$|\\mathdefault\{|\}")

    def __call__(self, value: float, position: int | None = None) -> str:
        """Write one tick."""
        text = super().__call__(value, position).replace("\N{MINUS SIGN}", "-")
        return self._PARTS.sub(lambda found: "×" if found[1] else (found[2] or "").translate(self._SMALL), text)


def panels(
    rows: int = 1, columns: int = 1, height: float = 3.2, width: float = NARROW, **options: Any
) -> tuple[Any, Any]:
    """Make a figure with `rows` x `columns` panels: (figure, axes); sizes in inches, `height` of one row."""
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def told(values: Iterable[float], form: str = "+.1f") -> str:
    """The mean over seeds and its 95 % interval, in words.

    >>> told([1.0, 2.0, 3.0])
    '+2.0 (n = 3, 95 % interval -0.5 to +4.5)'
    """
    found = summarise([*values])
    if found["ci95"] is None:
        return f"{found['mean']:{form}} (one seed)"
    low, high = found["ci95"]
    return f"{found['mean']:{form}} (n = {found['n']}, 95 % interval {low:{form}} to {high:{form}})"


def claim(found: FirstPlace, shown: str, not_shown: str) -> str:
    """What may be said of the first: that it is first, that it is in this one seed, or that this is not shown."""
    return shown if found.told_apart else f"in this one seed {shown}" if found.one_seed else not_shown


def told_first_place(found: FirstPlace, form: str = ".1f", unit: str = "") -> str:
    """The first and the nearest, by how much they differ, and whether they are told apart, in words.

    >>> told_first_place(FirstPlace("left", "right", (3.0, 1.0), [1.0, 2.0, 3.0], told_apart=False, one_seed=False))
    'left (3.0) and right (1.0) are not told apart, with a difference of +2.0 (n = 3, 95 % interval -0.5 to +4.5)'
    """
    pair = " and ".join(f"{name} ({mean:{form}}{unit})" for name, mean in zip((found.first, found.second), found.means))
    if not found.differences:
        return f"{pair} have no seed in common"
    sure = found.told_apart or found.one_seed
    return f"{pair} {'differ by' if sure else 'are not told apart, with a difference of'} " + told(
        found.differences, f"+{form}"
    )


def sentence(text: str) -> str:
    """Text with a capital letter and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def seed_points(panel: Axes, place: float, values: Sequence[float], colour: str, marker: str = "o") -> None:
    """Draw a value a seed on the line `place`: a point each, the mean and its 95 % interval; nothing where none is."""
    if not values:
        return
    found = summarise(values)
    panel.plot(values, [place] * len(values), marker, color=colour, markersize=3.5, alpha=0.45)
    panel.plot(found["ci95"] or [found["mean"]] * 2, [place, place], color=colour, linewidth=1.2)
    panel.plot(found["mean"], place, "|", color=INK, markersize=9)


def forest(table: "DataFrame", by: str, names: Mapping[str, str], widths: Mapping[str, float]) -> Figure:
    """Draw every `difference` with its intervals: a line for each `title`, on it a point for each of `names`.

    names: in the legend, by values of the column `by`. widths: of the lines of the intervals, by the name of their
    columns before _low and _high. A point is filled where the `verdict` is "better" or "worse". Narrow, so that a phone
    shows all of it.
    """
    titles = list(dict.fromkeys(table["title"]))
    figure, panel = panels(height=1.0 + (0.2 + 0.14 * len(names)) * len(titles))
    shifts = np.linspace(-0.2, 0.2, len(names)) if len(names) > 1 else [0.0]
    for (which, name), shift, colour in zip(names.items(), shifts, ("fine", "coarse", "extra", "other")):
        panel.plot([], [], "o", color=COLOURS[colour], label=name)
        for each in table[table[by] == which].to_dict("records"):
            place = titles.index(each["title"]) + shift
            for interval, width in widths.items():
                ends = [each[f"{interval}_low"], each[f"{interval}_high"]]
                panel.plot(ends, [place, place], color=COLOURS[colour], linewidth=width)
            sure = each["verdict"] in ("better", "worse")
            face = COLOURS[colour] if sure else "white"
            panel.plot(each["difference"], place, "o", color=COLOURS[colour], mfc=face)
    panel.axvline(0, color=COLOURS["other"], linewidth=1)
    panel.set(xlabel="points better than ...", ylim=(len(titles) - 0.5, -0.5))
    panel.set_yticks(range(len(titles)), [fill(short(title), 22) for title in titles])
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def row_style(row: str) -> tuple[str, str, str]:
    """Give a row's colour, line and marker; those without any in ROWS have them by their place in `styled`."""
    if row in ROWS:
        return ROWS[row]
    others = _others.get()
    again, place = divmod(others.index(row) if row in others else 0, len(FURTHER))
    return FURTHER[place], ("-", "--", ":", "-.")[again % 4], "pdH8"[again % 4]


def own_rows(rows: Iterable[str]) -> list[str]:
    """Give those of the rows that are a config's own, made from published ones."""
    return [row for row in rows if find(row) is None]


def annotate_cells(axes: Axes, values: Any, form: str = "{:.1f}", threshold: float | None = None) -> None:
    """Write each value of a matrix into its cell, light where the cell is dark (below `threshold`)."""
    for (row, column), value in np.ndenumerate(values):
        dark = threshold is not None and value < threshold
        axes.text(column, row, form.format(value), ha="center", va="center", color="white" if dark else "#1a1a1a")
