import pandas as pd

from bilateral.analysis import contrasts

COLUMNS = ["measure", "row", "other", "title", "n", "difference", "ci95_low", "ci95_high", "verdict", "answer"]


def table(*lines, answer="In part: in 4 comparisons ..."):
    return pd.DataFrame([(*line[:1], "mine", *line[1:], answer) for line in lines], columns=COLUMNS)


def test_the_conclusion_names_the_networks_whatever_the_sentence_in_the_files():
    text = contrasts.tell(
        table(
            ("joint_fine_pct", "wide", "a wider one", 3, 2.94, 1.9, 4.0, "better"),
            ("joint_coarse_pct", "wide", "a wider one", 3, 1.0, 0.5, 1.5, "better"),
            ("joint_fine_pct", "long", "a longer one", 4, -0.2, -1.8, 1.4, "not told apart"),
            ("joint_coarse_pct", "long", "a longer one", 4, 0.1, -0.2, 0.4, "as good as"),
        )
    )
    assert text == (
        "Yes against “a wider one” (joint fine +2.9, joint coarse +1.0 points); not shown against “a longer one” (95 "
        "% intervals within -1.8 to 1.4 points). “mine” is compared in 4 ways that the config declares, over 3 seeds; "
        "p is corrected for their number (Holm)."
    )


def test_without_a_verdict_the_files_sentence_stands():
    one = table(("fine_pct", "wide", "a wider one", 1, 2.0, 1.0, 3.0, "no verdict"), answer="No verdict from 1 seed.")
    assert contrasts.tell(one) == "No verdict from 1 seed."
