import io
from xml.etree import ElementTree

import numpy as np
from matplotlib import rcParams

from bilateral.analysis.style import COLOURS, ROWS, annotate_cells, panels, row_style, short, styled, tidy, told


def test_a_figure_has_the_panels_and_the_size_that_are_asked_for():
    figure, axes = panels(2, 3, height=2.0, width=9.0)
    assert axes.shape == (2, 3) and figure.get_size_inches().tolist() == [9, 4]
    _, one = panels()
    assert not isinstance(one, np.ndarray)


def test_a_style_ends_with_its_block_and_text_stays_text():
    before = dict(rcParams)
    with styled():
        figure, axes = panels()
        axes.plot([0, 1], [0, 1], color=COLOURS["left"])
        axes.set_title("left & right")
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
        assert rcParams["axes.grid"] and rcParams["svg.fonttype"] == "none"
    assert dict(rcParams) == before
    texts = [
        element.text for element in ElementTree.fromstring(file.getvalue()).iter() if element.tag.endswith("}text")
    ]
    assert "left & right" in texts
    assert COLOURS["left"] in file.getvalue().decode()


NAMES = [
    "$\\input{x}$",
    "a$b$c",
    "\\frac",
    "x" * 10_000,
    "猫" * 10_000,
    "a\x1b[31m\0",
    "b\u202e",
    "<script>]]>&",
    "line\nend",
]


def test_names_of_any_kind_make_a_figure_that_can_be_read():
    with styled():
        figure, (first, second) = panels(2)
        first.set_xticks(range(len(NAMES)), NAMES, rotation=90)
        second.barh(NAMES, range(len(NAMES)), label=NAMES[3])
        second.legend()
        second.set_title(NAMES[3])
        tidy(figure)
        file = io.BytesIO()
        figure.savefig(file, format="svg")
        figure.savefig(io.BytesIO(), format="png")
    texts = [e.text for e in ElementTree.fromstring(file.getvalue()).iter() if e.tag.endswith("}text")]
    for name in ("$\\input{x}$", "a$b$c", "\\frac", "x" * 47 + "…", "猫" * 23 + "…", "a\\x1b[31m\\x00", "b\\u202e"):
        assert texts.count(name) >= 2, name
    assert "x" * 119 + "…" in texts and texts.count("<script>]]>&") == 2 and texts.count("end") == 2


def test_a_logarithmic_axis_needs_no_mathematics():
    with styled():
        figure, (small, large) = panels(2)
        for panel, values in ((small, [0.02, 0.3]), (large, [1e-3, 1e8])):
            panel.plot(values, values)
            panel.set(xscale="log", yscale="log")
        tidy(figure)
        figure.draw_without_rendering()
        texts = {label.get_text() for label in (*small.get_xticklabels(minor=True), *large.get_xticklabels())}
    assert {"3×10⁻²", "2×10⁻¹", "10⁻²", "10⁸"} <= texts and not any("$" in text or "\\" in text for text in texts)


def test_text_is_cut_by_its_width():
    assert short("a" * 48) == "a" * 48 and short("a" * 49) == "a" * 47 + "…"
    assert short("猫" * 24) == "猫" * 24 and short("猫" * 25) == "猫" * 23 + "…"
    assert short("one\n" + "b" * 60, 10) == "one\nbbbbbbbbb…"


def test_colours_mean_one_thing_each():
    assert len(set(COLOURS.values())) == len(COLOURS)


def test_a_matrix_is_written_into_its_cells():
    with styled():
        _, axes = panels()
        annotate_cells(axes, np.array([[1.25, 8.0], [3.0, 4.0]]), "{:.2f}", threshold=3)
        axes.grid(False)
    texts = {text.get_text(): (text.get_position(), text.get_color()) for text in axes.texts}
    assert texts["1.25"] == ((0, 0), "white") and texts["8.00"][0] == (1, 0) and texts["3.00"][0] == (0, 1)
    assert texts["8.00"][1] != "white"
    assert not any(line.get_visible() for line in axes.get_xgridlines())


def test_one_seed_has_no_interval():
    assert told([2.0]) == "+2.0 (one seed)"


def test_every_row_has_a_colour_of_its_own_in_every_figure():
    rows = [*ROWS, "ensemble_2", "ensemble_2_probabilities", *(f"mine_{number}" for number in range(10))]
    with styled(rows=rows):
        looks = {row: row_style(row) for row in rows}
        assert len({colour for colour, *_ in looks.values()}) == len(rows)
    with styled(rows=[*rows, *(f"more_{number}" for number in range(5))]):
        assert {row: row_style(row) for row in rows} == looks
        assert row_style("more_0")[0] == looks["ensemble_2"][0] and row_style("more_0") not in looks.values()
