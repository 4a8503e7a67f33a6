import re

import pytest

from bilateral.base.statistics import CrossedDifference
from bilateral.experiments.contrasts import Contrast
from bilateral.experiments.results import Gain, RowResult, SeedResult, Table
from bilateral.experiments.tables import Block, blocks, narrow, render, row_summary, short_block

COSTS = {"parameters": 1_234_567, "trainable_parameters": 4_321, "multiply_adds": 987_654.0, "training_pflops": 1.23456}
LEFT = {
    0: {"fine_pct": 60.0, "rollup_pct": 70.0, "severity": 1.5, "nll_fine": 1.25, "ece_fine_pct": 4.0},
    1: {"fine_pct": 62.0, "rollup_pct": 70.0, "nll_fine": 1.25, "ece_fine_pct": 5.0},
    2: {"fine_pct": 64.0, "rollup_pct": 73.0, "severity": 1.7, "nll_fine": 1.2525, "ece_fine_pct": 6.0},
}
BOTH = {
    "fine_pct": 65.0,
    "coarse_pct": 75.0,
    "rollup_pct": 77.125,
    "restricted_pct": 66.0,
    "both_pct": 60.0,
    "agreement_pct": 90.0,
}


def row(name, title, measures, seconds=10.0):
    seeds = {
        seed: SeedResult(own, {}, seconds * (1 + seed), 0.0, [f"runs/{name}/{seed}"]) for seed, own in measures.items()
    }
    return RowResult(name, title, COSTS, ["kind"], seeds)


ROWS = [
    row("left", "left alone", LEFT),
    row("wide", "one, wide", {0: BOTH, 2: {**BOTH, "fine_pct": 66.0}}),
    row("right", "right alone", {1: {"coarse_pct": 80.0}}),
    row("untrained", "untrained", {}),
]
CONTRASTS = [
    Contrast(
        *("left", "wide", "fine_pct"),
        CrossedDifference(3, 100, -3.5, (-5.0, -2.0), (-22.559, 15.559), 0.012345, 0.9),
        *(0.02469, 1.0, "worse"),
    ),
    Contrast(
        "left",
        "gone",
        "rollup_pct",
        CrossedDifference(1, 100, 1.234, None, (0.5, 2.0), None, None),
        *[None] * 2,
        "no verdict",
    ),
]
GAINS = [Gain("left", "left alone", 0, ["kind"], {"fine": 60.0}, {"fine": 61.25})]
TABLE = Table(ROWS, CONTRASTS, [], [], GAINS)
PLACES = {name: place for place, name in enumerate(["accuracy", "contrasts", "quality", "cost", "gains", "intervals"])}


def read_text(text):
    """Headings and rows of a plain table: its columns are two spaces or more apart. A note may follow."""
    text = text.split("\n\n")[0]
    lines = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.strip()]
    return lines[1], lines[3:]


def read_markdown(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    return cells[0], cells[1], cells[2:]


def accuracies(table=TABLE):
    return {cells[0]: dict(zip(blocks(table)[0].headings, cells)) for cells in blocks(table)[0].cells}


def test_accuracies_are_mean_and_deviation_and_a_dash_where_there_are_none():
    by_row = accuracies()
    assert list(by_row["left alone"].values()) == [
        *("left alone", "3", "62.00 ± 2.00", "–", "–", "–", "–", "71.00 ± 1.73"),
        *"–––",
    ]
    assert by_row["one, wide"]["fine"] == "65.50 ± 0.71"
    assert by_row["one, wide"]["coarse by roll-up"] == "77.12 ± 0.00"
    assert by_row["one, wide"]["fine by restriction"] == "66.00 ± 0.00"
    assert by_row["one, wide"]["both right"] == "60.00 ± 0.00"
    assert by_row["one, wide"]["agreement"] == "90.00 ± 0.00"
    assert by_row["right alone"]["coarse"] == "80.00"


def test_n_counts_the_seeds_that_came_to_an_end():
    assert [cells["n"] for cells in accuracies().values()] == ["3", "2", "1", "0"]
    assert list(accuracies()["untrained"].values())[2:] == ["–"] * 9


def by_heading(name, place=0):
    block = blocks(TABLE)[PLACES[name]]
    return dict(zip(block.headings, block.cells[place], strict=True))


def test_mistakes_and_calibration():
    left = by_heading("quality")
    assert {key: value for key, value in left.items() if value != "–"} == {
        "network": "left alone",
        "n": "3",
        "severity": "1.600 ± 0.141",
        "NLL fine": "1.251 ± 0.001",
        "ECE fine": "5.00 ± 1.00",
    }


def test_cost():
    assert by_heading("cost") == {
        "network": "left alone",
        "parameters": "1,234,567",
        "trainable": "4,321",
        "multiply-adds": "987,654",
        "PFLOPs of training": "1.23",
    }


def test_contrasts_have_both_intervals_all_p_and_the_verdict():
    assert blocks(TABLE)[1].title.startswith("left alone, minus each")
    first, second = blocks(TABLE)[1].cells
    assert first[:4] == ["one, wide", "fine", "3", "-3.50"]
    assert first[4:] == ["-5.00 to -2.00", "-22.56 to 15.56", "0.025", "1", "worse"]
    assert second == ["gone", "coarse by roll-up", "1", "+1.23", "–", "0.50 to 2.00", "–", "–", "no verdict"]


def test_gains_of_twice_the_epochs():
    assert list(by_heading("gains").values()) == ["left alone", "0", "60.00 → 61.25", "–", "+1.25"]


def test_a_table_is_made_narrow_enough_for_80_columns_and_loses_no_word():
    keys = ["model.left.parts.noise.std", "training.optimizer", "n", "mean ± sample deviation", "95 % interval"]
    wide = Block(
        "gain", "", keys, [["0.5", "a title of many words, " * 3, "8", "98.75 ± 1.51", "97.48 to 100.02"]], words=2
    )
    told = render(narrow(wide), "txt")
    assert max(map(len, told.splitlines())) <= 80 < max(map(len, render(wide, "txt").splitlines()))
    assert [each.replace(".\n", ".").replace("\n", " ") for each in narrow(wide).headings] == keys


def test_intervals_by_hand():
    # t(0.975, 2) = 4.302653, t(0.975, 1) = 12.7062.
    block = blocks(TABLE)[PLACES["intervals"]]
    cells = [dict(zip(block.headings, cells)) for cells in block.cells]
    half = 4.302653 * 2 / 3**0.5
    assert cells[0]["fine"] == f"{62 - half:.2f} to {62 + half:.2f}"
    half = 12.7062 * 0.5
    assert cells[1]["fine"] == f"{65.5 - half:.2f} to {65.5 + half:.2f}"
    assert cells[2]["coarse"] == "–" and cells[2]["fine"] == "–"


def test_without_contrasts_and_gains_their_tables_are_left_out():
    titles = [block.title for block in blocks(TABLE)]
    assert len(titles) == len(set(titles)) == len(PLACES)
    alone = [block.title for block in blocks(Table(ROWS, [], [], []))]
    assert alone == [titles[PLACES[name]] for name in ("accuracy", "quality", "cost", "intervals")]


@pytest.mark.parametrize("number", range(len(PLACES)))
def test_text_reads_back_to_the_cells(number):
    block = blocks(TABLE)[number]
    text = render(block, "txt")
    headings, rows = read_text(text)
    assert text.splitlines()[0] == block.title
    assert headings == list(block.headings) and rows == [list(cells) for cells in block.cells]


@pytest.mark.parametrize("number", range(len(PLACES)))
def test_markdown_has_the_same_cells_in_every_line(number):
    block = blocks(TABLE)[number]
    headings, rule, rows = read_markdown(render(block, "md"))
    assert headings == list(block.headings) and rows == [list(cells) for cells in block.cells]
    assert len(rule) == len(headings) and all(re.fullmatch(":?-+:?", cell) for cell in rule)
    assert block.note in render(block, "md")


@pytest.mark.parametrize("number", range(len(PLACES)))
def test_latex_is_a_booktabs_table_with_escaped_percent_signs(number):
    block = blocks(TABLE)[number]
    text = render(block, "tex")
    assert text.startswith("\\begin{table}\n\\caption{") and text.endswith("\\end{tabular}\n\\end{table}\n")
    assert [text.count(f"\\{rule}rule") for rule in ("top", "mid", "bottom")] == [1, 1, 1]
    assert re.search(r"(?<!\\)[%_#$]", text) is None
    lines = [line for line in text.splitlines() if line.endswith("\\\\")]
    cells = [[cell.strip() for cell in line.removesuffix("\\\\").split("&")] for line in lines]
    escaped = [[cell.replace("%", "\\%") for cell in line] for line in [block.headings, *block.cells]]
    assert cells == escaped
    columns = re.search(r"\\begin{tabular}{([lr]+)}", text)
    expected = ["l" + 10 * "r", "ll" + 7 * "r", "l" + 13 * "r", "lrrrr", "lrrrr", "l" + 10 * "r"]
    assert columns is not None and columns[1] == expected[number]


def test_percent_signs_of_captions_are_escaped():
    caption = render(blocks(TABLE)[0], "tex").splitlines()[1]
    assert caption.startswith("\\caption{Accuracy on the test images, \\%. Mean ± sample deviation")


def test_a_row_s_summary_leaves_out_seeds_without_the_measure():
    summary = row_summary(ROWS[0], "severity")
    assert summary is not None and (summary["n"], summary["mean"]) == (2, pytest.approx(1.6))
    assert row_summary(ROWS[0], "coarse_pct") is None and row_summary(ROWS[3], "fine_pct") is None


def test_a_command_prints_accuracies_in_80_columns():
    row_of_long_title = row("mine", "a row of my own whose title is longer than that of any published row", {0: BOTH})
    text = render(short_block(Table([*ROWS, row_of_long_title], CONTRASTS, [], []), "quick"), "txt")
    assert max(map(len, text.splitlines())) <= 80
    assert "62.0±2.0" in text and "joint" in text and "roll-up" not in text
    assert "a row of my own whose title is\nlonger than that of any published" in re.sub(" {2,}.*", "", text)
    asked_nothing = render(short_block(Table(ROWS, [], [], [], asks=False), "mine"), "txt")
    assert "62.00±2.00" in asked_nothing and "roll-up" in asked_nothing and "joint" not in asked_nothing


def test_times_are_in_no_table_that_is_the_same_on_every_machine():
    slower = [
        row(each.name, each.title, {seed: found.measures for seed, found in each.seeds.items()}, seconds=99.0)
        for each in ROWS
    ]
    assert blocks(Table(slower, CONTRASTS, [], [], GAINS)) == blocks(TABLE)
