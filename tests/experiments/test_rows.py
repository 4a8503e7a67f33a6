import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.experiments.cost import Costs
from bilateral.experiments.experiment import system_config
from bilateral.experiments.published import DEFAULT, ROWS, find
from bilateral.experiments.rows import plan_rows, without
from bilateral.models.build import build_network
from bilateral.runs.config import check_config
from bilateral.runs.predictions import Predictions
from bilateral.runs.runner import Runner
from bilateral.runs.scheduling import with_parents
from conftest import COARSE, COARSE_OF_FINE, FINE

ALL_ROWS = [
    "left",
    "right",
    "side_by_side",
    "unilateral",
    "unilateral_long",
    "unilateral_wide",
    "nonspecialised",
    "two_left",
    "two_right",
    "untrained",
    "specialised",
    "fine_tuned",
    "ensemble_2",
    "ensemble_2_probabilities",
    "hemispheres_ensemble",
]
END_TO_END = ["unilateral", "unilateral_wide", "nonspecialised", "ensemble_2", "ensemble_2_probabilities"]
SMALL = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}


def config(experiment=None, **values):
    return check_config({"model": SMALL, "experiment": experiment, **values}, "test")


def plan(tiny, experiment=None, **values):
    return {row.name: row for row in plan_rows(config(experiment, **values), tiny)}


def test_an_experiment_has_every_published_row_unless_it_says_otherwise():
    assert set(ROWS) == set(DEFAULT) - {"ensemble"}


def test_the_rows_stand_in_order_with_a_title_each(tiny):
    rows = plan(tiny, seeds=[3, 5])
    assert list(rows) == ALL_ROWS
    assert len({row.title for row in rows.values()}) == len(ALL_ROWS)
    assert all(list(row.runs) == [3, 5] for row in rows.values())
    chosen = ["ensemble", "specialised", "left"]
    assert list(plan(tiny, {"rows": chosen, "ensemble_sizes": [3, 2]})) == [
        *("ensemble_3", "ensemble_3_probabilities", "ensemble_2", "ensemble_2_probabilities"),
        *("specialised", "left"),
    ]


def test_rows_can_be_left_out(tiny):
    without = ["ensemble", "unilateral_wide", "left"]
    left_out = {"left", "unilateral_wide", "ensemble_2", "ensemble_2_probabilities"}
    assert list(plan(tiny, {"without": without})) == [name for name in ALL_ROWS if name not in left_out]


def test_default_settings_are_those_of_an_empty_section(tiny):
    runner = Runner(tiny)
    one, other = (
        [runner.identity(run) for row in plan(tiny, given).values() for run in row.runs[0]] for given in (None, {})
    )
    assert one == other


def test_networks_are_shared_between_rows(tiny):
    rows, runner = plan(tiny, seeds=[0, 1]), Runner(tiny)

    def identities(name, seed):
        return [runner.identity(run) for run in rows[name].runs[seed]]

    for seed in (0, 1):
        left, right = identities("left", seed), identities("right", seed)
        assert identities("side_by_side", seed) == identities("hemispheres_ensemble", seed) == left + right
        parents = rows["specialised"].runs[seed][0].parents
        assert [runner.identity(parents[f"hemispheres.{side}"]) for side in ("left", "right")] == left + right
        assert identities("ensemble_2", seed)[:1] == identities("unilateral", seed)
        assert identities("ensemble_2_probabilities", seed) == identities("ensemble_2", seed)
        for side, alone in (("left", left), ("right", right)):
            parents = rows[f"two_{side}"].runs[seed][0].parents
            assert runner.identity(parents["hemispheres.left"]) == alone[0]


def test_every_network_is_trained_once(tiny):
    rows, runner = plan(tiny, seeds=[0, 1]), Runner(tiny)
    runs = with_parents(runner, [run for row in rows.values() for runs in row.runs.values() for run in runs])
    assert sorted((run.role, run.seed) for run in runs.values()) == sorted(
        (role, number)
        for seed in (0, 1)
        for role, number in [
            *(("left", seed), ("right", seed), ("left", 1000 + seed), ("right", 1000 + seed)),
            *(("unilateral", seed), ("unilateral", 1000 + seed), ("unilateral_wide", seed), ("unilateral_long", seed)),
            *(("nonspecialised", seed), ("two_left", seed), ("two_right", seed), ("untrained", seed)),
            *(("specialised", seed), ("fine_tuned", seed)),
        ]
    )
    folders = {(run.group, run.seed, identity) for identity, run in runs.items()}
    assert len(folders) == len(runs) == 28


def test_every_network_can_be_built_and_trained_as_planned(tiny):
    Runner(tiny).check(run for row in plan(tiny).values() for run in row.runs[0])


def test_what_the_system_does_too_is_the_same_run_in_the_same_folder(tiny):
    rows, runner = plan(tiny), Runner(tiny)
    system = plan_rows(system_config(config()), tiny)
    assert [(row.name, row.title) for row in system] == [
        ("left", "left alone"),
        ("right", "right alone"),
        ("specialised", "bilateral"),
    ]
    for row in system:
        (own,), (run,) = row.runs[0], rows[row.name].runs[0]
        assert runner.identity(run) == runner.identity(own) and run.group == own.group


def test_rows_of_other_networks_have_folders_of_their_own(tiny):
    rows = plan(tiny, {"ensemble_sizes": [2]}, name="mine")
    names = {name: [run.config.name for run in rows[name].runs[0]] for name in ALL_ROWS}
    assert names["left"] == names["right"] == names["specialised"] == ["mine"]
    assert names["ensemble_2"] == ["mine.unilateral"] * 2
    others = (
        "unilateral",
        "unilateral_long",
        "unilateral_wide",
        "nonspecialised",
        "two_left",
        "untrained",
        "fine_tuned",
    )
    for name in others:
        assert names[name] == [f"mine.{name}"]
    assert all(run.config.experiment is None for row in rows.values() for run in row.runs[0])


@pytest.mark.parametrize("size", [2, 3])
def test_ensembles_of_different_seeds_share_no_member(tiny, size):
    runner = Runner(tiny)
    rows = plan(tiny, {"rows": ["ensemble", "unilateral"], "ensemble_sizes": [size]}, seeds=[0, 1, 2])
    runs = rows[f"ensemble_{size}"].runs
    members = [runner.identity(run) for seed in (0, 1, 2) for run in runs[seed]]
    assert len(members) == len(set(members)) == 3 * size
    assert [run.seed for run in runs[1]] == [1, 1001, 2001][:size]


def test_a_larger_ensemble_has_the_members_of_a_smaller_one(tiny):
    runner = Runner(tiny)
    rows = plan(tiny, {"rows": ["ensemble"], "ensemble_sizes": [2, 3]})
    two, three = ([runner.identity(run) for run in rows[f"ensemble_{size}"].runs[0]] for size in (2, 3))
    assert three[:2] == two and len(set(three)) == 3


def parameters(model):
    return sum(parameter.numel() for parameter in build_network(model, FINE, COARSE).parameters())


# Channels are whole numbers, so narrow networks cannot come as near.
@pytest.mark.parametrize(
    "left, right, within",
    [(0.0625, 0.0625, 0.04), (0.125, 0.125, 0.02), (0.125, 0.0625, 0.02), (0.0625, 0.125, 0.02), (0.25, 0.25, 0.02)],
)
def test_the_widened_hemisphere_has_as_many_parameters_as_two(tiny, left, right, within):
    model = {"left": {"width": left}, "right": {"width": right}}
    rows = plan(tiny, {"rows": ["unilateral", "unilateral_wide", "nonspecialised"]}, model=model)
    narrow, wide, both = (rows[name].runs[0][0].config.model for name in rows)
    wanted, found = parameters(both), parameters(wide)
    assert abs(found - wanted) < within * wanted
    for step in (-2, -1, 1, 2):
        width = wide.left.width + step / 256
        other = wide.model_copy(update={"left": wide.left.model_copy(update={"width": width})})
        assert abs(parameters(other) - wanted) >= abs(found - wanted)
    assert wide == narrow.model_copy(update={"left": wide.left})
    assert narrow.left.width == left < wide.left.width


def test_one_hemisphere_under_both_heads_is_the_left_one(tiny):
    model = {"left": {"width": 0.0625, "arch": "vgg11"}, "right": {"width": 0.125}, "dropout": 0.25}
    found = plan(tiny, {"rows": ["unilateral"]}, model=model)["unilateral"].runs[0][0].config.model
    assert (found.mode_hemis, found.mode_heads, found.dropout) == ("unilateral", "both", 0.25)
    assert list(found.hemispheres) == ["left"] and not found.left.freeze
    assert (found.left.arch, found.left.width) == ("vgg11", 0.0625)


@pytest.mark.parametrize("side", ["left", "right"])
def test_two_of_a_kind_are_of_two_seeds(tiny, side):
    runner = Runner(tiny)
    model = {"left": {"width": 0.0625}, "right": {"width": 0.125}}
    rows = plan(tiny, {"without": ["unilateral_wide"]}, model=model, seeds=[4])
    (run,) = rows[f"two_{side}"].runs[4]
    assert list(run.parents) == ["hemispheres.left", "hemispheres.right"] and run.seed == 4
    assert [(parent.role, parent.seed) for parent in run.parents.values()] == [(side, 4), (side, 1004)]
    (alone,) = rows[side].runs[4]
    first, second = (runner.identity(run.parents[f"hemispheres.{each}"]) for each in ("left", "right"))
    assert first == runner.identity(alone) != second
    own = {"left": 0.0625, "right": 0.125}[side]
    for hemisphere in run.config.model.hemispheres.values():
        assert (hemisphere.width, hemisphere.freeze) == (own, True)
    for parent in run.parents.values():
        assert parent.config.model.hemispheres[side].width == own
        assert parent.config.model.mode_heads == {"left": "fine", "right": "coarse"}[side]


def test_the_specialised_network_freezes_hemispheres_of_its_own_seed(tiny):
    (run,) = plan(tiny, seeds=[4])["specialised"].runs[4]
    assert {side: (parent.role, parent.seed) for side, parent in run.parents.items()} == {
        "hemispheres.left": ("left", 4),
        "hemispheres.right": ("right", 4),
    }
    assert [parent.config.model.mode_heads for parent in run.parents.values()] == ["fine", "coarse"]
    assert [hemisphere.freeze for hemisphere in run.config.model.hemispheres.values()] == [True, True]
    assert not any(h.freeze for parent in run.parents.values() for h in parent.config.model.hemispheres.values())


def test_the_fine_tuned_network_goes_on_from_the_whole_specialised_one(tiny):
    rows, runner = plan(tiny, seeds=[4]), Runner(tiny)
    (run,) = rows["fine_tuned"].runs[4]
    assert list(run.parents) == [""]
    assert runner.identity(run.parents[""]) == runner.identity(rows["specialised"].runs[4][0])
    assert not any(hemisphere.freeze for hemisphere in run.config.model.hemispheres.values())


def test_the_untrained_network_is_frozen_as_it_is(tiny):
    (run,) = plan(tiny)["untrained"].runs[0]
    assert run.parents == {}
    assert [hemisphere.freeze for hemisphere in run.config.model.hemispheres.values()] == ["untrained"] * 2


def test_networks_that_are_trained_whole_have_no_parents_and_nothing_frozen(tiny):
    rows = plan(tiny, model={side: {**SMALL[side], "freeze": True} for side in SMALL})
    for name in END_TO_END:
        for run in rows[name].runs[0]:
            assert run.parents == {} and run.config.model.mode_heads == "both"
            assert not any(hemisphere.freeze for hemisphere in run.config.model.hemispheres.values())


def test_every_network_is_trained_by_its_own_settings(tiny):
    rows = plan(
        tiny,
        {"end_to_end": {"epochs": 7}, "fine_tuning": {"epochs": 5}},
        training={"epochs": 3},
        pretraining={"left": {"epochs": 11}, "right": {"epochs": 13}},
    )
    epochs = {name: [run.config.training.epochs for run in rows[name].runs[0]] for name in rows}
    assert epochs["left"] == [11] and epochs["right"] == [13]
    assert all(set(epochs[name]) == {7} for name in END_TO_END)
    assert epochs["fine_tuned"] == [5]
    for name in ("specialised", "two_left", "two_right", "untrained"):
        assert epochs[name] == [3]

    def of_parents(name):
        return [parent.config.training.epochs for parent in rows[name].runs[0][0].parents.values()]

    assert of_parents("specialised") == [11, 13]
    assert of_parents("two_left") == [11, 11] and of_parents("two_right") == [13, 13]
    assert of_parents("fine_tuned") == [3]


def test_without_an_experiment_s_settings_networks_are_trained_as_the_joined_one(tiny):
    rows = plan(tiny, training={"epochs": 3})
    others = [row for name, row in rows.items() if name != "unilateral_long"]
    assert {run.config.training.epochs for row in others for run in row.runs[0]} == {3}


def test_rows_put_predictions_together_as_they_say(tiny):
    generator = torch.Generator().manual_seed(1)
    fine = torch.arange(12) % FINE
    labels = {"fine": fine, "coarse": torch.tensor(COARSE_OF_FINE)[fine]}
    one, two = (
        Predictions(
            {
                "fine": 4 * torch.randn(12, FINE, generator=generator),
                "coarse": 4 * torch.randn(12, COARSE, generator=generator),
            },
            labels,
        )
        for _ in range(2)
    )
    rows = plan(tiny)
    for name, row in rows.items():
        if len(row.runs[0]) == 1:
            assert row.combine([one], tiny.hierarchy) is one, name

    def combined(name):
        return rows[name].combine([one, two], tiny.hierarchy).logits

    assert torch.equal(combined("side_by_side")["fine"], one.logits["fine"])
    assert torch.equal(combined("side_by_side")["coarse"], two.logits["coarse"])
    for level in ("fine", "coarse"):
        torch.testing.assert_close(combined("ensemble_2")[level], (one.logits[level] + two.logits[level]) / 2)
        mean = (one.logits[level].softmax(1) + two.logits[level].softmax(1)) / 2
        torch.testing.assert_close(combined("ensemble_2_probabilities")[level].softmax(1), mean)
    hemispheres = combined("hemispheres_ensemble")
    mean = (one.logits["fine"].softmax(1).view(12, COARSE, 2).sum(2) + two.logits["coarse"].softmax(1)) / 2
    torch.testing.assert_close(hemispheres["coarse"].exp(), mean)


def test_a_family_may_name_rows_that_the_table_lacks_and_what_that_leaves_open_is_told(tiny):
    plan(tiny, {"rows": ["left"]})
    settings = config({"rows": ["specialised", "unilateral_wide"]}).experiment
    against = settings.contrasts.against
    assert {name for name in DEFAULT if name in ROWS and ROWS[name].tells} | {"ensemble_2"} == set(against)
    told = without(settings, {"specialised", "unilateral_wide", "two_left"})
    assert told == [
        "There is no result of “one hemisphere, as much training as bilateral” (unilateral_long), so it stays open "
        f"whether {ROWS['unilateral_long'].tells}.",
        "There is no result of “bilateral, not specialised” (nonspecialised), so it stays open whether "
        f"{ROWS['nonspecialised'].tells}.",
        f"There is no result of “ensemble of 2 networks, mean logits” (ensemble_2), so it stays open whether "
        f"{find('ensemble_2').tells}.",
    ]
    assert without(settings, {settings.contrasts.row, *against}) == []
    assert without(config({"contrasts": {"against": []}}).experiment, set()) == []


def test_references_of_older_configs_are_read_as_contrasts():
    assert config({"references": ["left", "specialised"]}).experiment.contrasts.against == ["left"]
    assert config({"references": []}).experiment.contrasts.against == []
    assert config({"references": None}).experiment.contrasts == config({}).experiment.contrasts
    with pytest.raises(ConfigError, match="references: unknown key"):
        config({"references": ["left"], "contrasts": {}})


def test_a_hemisphere_that_is_trained_long_costs_what_the_specialised_network_does(tiny):
    settings = {"end_to_end": {"epochs": 4}, "rows": ["unilateral", "unilateral_long", "specialised"]}
    stages = {"training": {"epochs": 30}, "pretraining": {"left": {"epochs": 9}, "right": {"epochs": 6}}}
    rows = plan(tiny, settings, **stages)
    costs = Costs(config(settings, **stages), tiny)
    (short,), (long,), (specialised,) = (rows[name].runs[0] for name in rows)
    total = sum(costs.training(run) for run in (specialised, *specialised.parents.values()))
    epoch = costs.training(short) / 4
    assert abs(costs.training(long) - total) <= epoch / 2 and long.config.training.epochs > 15
    warmup = long.config.training.warmup_epochs / long.config.training.epochs
    assert warmup == pytest.approx(0.2) and long.config.model == short.config.model
