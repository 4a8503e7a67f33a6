import io
from xml.etree import ElementTree

import numpy as np
from matplotlib import rcParams

from bilateral.analysis.style import COLOURS, annotate_cells, no_grid, panels, styled


def test_a_figure_has_the_panels_and_the_size_that_are_asked_for():
    figure, axes = panels(3, 2, height=2.0, width=9.0)
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


def test_colours_mean_one_thing_each():
    assert len(set(COLOURS.values())) == len(COLOURS)


def test_a_matrix_is_written_into_its_cells():
    with styled():
        _, axes = panels()
        annotate_cells(axes, np.array([[1.25, 8.0], [3.0, 4.0]]), "{:.2f}", threshold=3)
        no_grid(axes)
    texts = {text.get_text(): (text.get_position(), text.get_color()) for text in axes.texts}
    assert texts["1.25"] == ((0, 0), "white") and texts["8.00"][0] == (1, 0) and texts["3.00"][0] == (0, 1)
    assert texts["8.00"][1] != "white"
    assert not any(line.get_visible() for line in axes.get_xgridlines())
