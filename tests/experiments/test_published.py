from bilateral.experiments.published import ROWS, ensembles, find


def test_ensembles_have_their_size_in_their_name():
    assert find("ensemble_3").of == [("unilateral", 0), ("unilateral", 1), ("unilateral", 2)]
    assert set(ensembles(4)) == {"ensemble_4", "ensemble_4_probabilities"}
    assert [find(name) for name in ("ensemble", "ensemble_1", "ensemble_02", "ensemble_2_logits", "other")] == [
        None
    ] * 5


def test_one_row_alone_is_not_to_be_trained():
    assert [name for name, row in ROWS.items() if row.is_untrained] == ["untrained"]
