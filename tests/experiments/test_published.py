from bilateral.experiments.published import ROWS, ensembles, find


def test_ensembles_have_their_size_in_their_name():
    assert find("ensemble_3").of == [("unilateral", 0), ("unilateral", 1), ("unilateral", 2)]
    assert set(ensembles(4)) == {"ensemble_4", "ensemble_4_probabilities"}
    assert [find(name) for name in ("ensemble", "ensemble_1", "ensemble_02", "ensemble_2_logits", "other")] == [
        None
    ] * 5


def test_every_row_has_a_title_of_its_own_and_is_explained():
    rows = [*ROWS.values(), *ensembles(2).values(), *ensembles(4).values()]
    assert len({row.title for row in rows}) == len({row.about for row in rows}) == len(rows)
    assert all(not row.about[0].islower() and row.about[-1] in ".?" for row in rows)
    assert ROWS["unilateral_wide"].title == "one wider hemisphere, same size as bilateral"
    assert ROWS["two_left"].about == "Two copies of the left kind: is it specialisation, or just two networks?"
    assert "4 networks" in find("ensemble_4").title and "whose logits are averaged" in find("ensemble_4").about


def test_one_row_alone_is_not_to_be_trained():
    assert [name for name, row in ROWS.items() if row.is_untrained] == ["untrained"]
