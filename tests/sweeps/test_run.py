"""A sweep from its command to its files, and what is refused before anything is run."""

import json

import pandas as pd
import pytest

from bilateral.base.errors import ConfigError, RunsFailedError
from bilateral.cli.main import main
from bilateral.runs.config import read_config
from bilateral.sweeps.run import plan_sweep, sweep
from conftest import QUICK, TINY_EXPERIMENT

NOISE = "model.left.parts.noise"
TINY = [*TINY_EXPERIMENT, "workers=1"]


def planned(*arguments, **options):
    return plan_sweep(QUICK, [*TINY, *arguments], **options)


def test_two_settings_with_two_seeds_from_the_command_to_the_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    short = ["pretraining.left.epochs=1"]

    def do(*options):
        with pytest.raises(SystemExit) as ended:
            main(
                [
                    "sweep",
                    str(QUICK),
                    *TINY,
                    f"{NOISE}.after=conv2",
                    f"{NOISE}.std=[0, 0.5]",
                    "--row=left",
                    *short,
                    *options,
                ]
            )
        assert ended.value.code == 0
        return capsys.readouterr()

    told = do("--measure", "fine_pct", "--measure", "held_out_fine_pct").out
    words = " ".join(told.split())
    assert "the best of 2 settings by its mean" in words and "Report that of the test images." in words
    assert max(map(len, told.splitlines())) <= 80
    for name in ("fine_pct", "held_out_fine_pct"):
        assert f"Figure: runs/quick-sweep/{name}.svg" in told and (tmp_path / f"runs/quick-sweep/{name}.svg").exists()
    lines = pd.read_csv(tmp_path / "runs/quick-sweep/sweep.csv")
    assert lines[[f"{NOISE}.std", "seed"]].values.tolist() == [[0, 0], [0, 1], [0.5, 0], [0.5, 1]]
    provenance = json.loads((tmp_path / "runs/quick-sweep/provenance.json").read_text())
    per_seed = json.loads((tmp_path / "runs/quick-sweep/table.json").read_text())["by_seed"]
    for line in lines.to_dict("records"):
        (folder,) = provenance["runs"][line["setting"]][str(line["seed"])]
        config = read_config(tmp_path / folder / "config.yaml")
        assert config.model.left.parts["noise"].options["std"] == line[f"{NOISE}.std"]
        assert per_seed[line["setting"]][str(line["seed"])]["fine_pct"] == pytest.approx(line["fine_pct"])
        last = [json.loads(each) for each in (tmp_path / folder / "metrics.jsonl").read_text().splitlines()]
        assert any(100 * each["val_acc"] == pytest.approx(line["held_out_fine_pct"]) for each in last)
    runs = json.loads(do("--plan", "--json").out)["runs"]
    # The first setting stands in the config, whose row it is.
    assert [(run["role"], run["seed"], run["state"]) for run in runs] == [
        (role, seed, "finished") for role in ("left", "setting_2") for seed in (0, 1)
    ]


def test_a_setting_that_diverges_is_told_after_the_others_were_done_and_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    brief = [*TINY, "seeds=[0]", "pretraining.left={epochs: 1, warmup_epochs: 0, optimizer: sgd}"]
    with pytest.raises(RunsFailedError, match=r"1 runs failed:\n.*setting_2, seed 0"):
        sweep(QUICK, [*brief, "pretraining.left.lr=[0.01, 1e20]"], row="left")
    lines = pd.read_csv(tmp_path / "runs/quick-sweep/sweep.csv")
    assert lines["pretraining.left.lr"].tolist() == [0.01] and (tmp_path / "runs/quick-sweep/fine_pct.svg").exists()


def test_settings_are_rows_with_the_same_seeds_and_share_what_they_do_not_change():
    work = planned("model.left.width=[0.0625, 0.125]", "training.epochs=[1, 2]", "seeds=[0, 1]").work
    assert [row.name for row in work.rows] == [f"setting_{number}" for number in range(1, 5)]
    assert all(list(row.runs) == [0, 1] for row in work.rows)
    roles = [run.config.model.mode_heads for run in work.plan.values() if run.seed == 0]
    assert (roles.count("both"), roles.count("fine"), roles.count("coarse")) == (4, 2, 1)


def test_the_row_is_that_of_the_contrasts_or_the_one_that_is_named_a_variant_too():
    key = "model.left.width=[0.0625, 0.125]"
    assert planned(key, "seeds=[0]").row == "specialised"
    assert planned(key, "experiment.contrasts.row=left").row == "left"
    variant = ["experiment.variants.brief.from=left", "experiment.variants.brief.set.pretraining.left.epochs=1"]
    work = planned(*variant, key, row="brief").work
    assert [row.name for row in work.rows] == ["setting_1", "setting_2"]
    assert all(run.config.training.epochs == 1 for row in work.rows for run in row.runs[0])


@pytest.mark.parametrize(
    ("entry", "key", "values"),
    [
        ("parts.noise={after: conv2, std: 0.5}", f"{NOISE}.std", [0.1, 0.3]),
        ("connections={kernel: 5}", "model.left.connections.kernel", [3, 5]),
    ],
)
def test_what_a_variant_alone_has_can_be_swept(entry, key, values):
    variant = ["experiment.variants.mine.from=left", f"experiment.variants.mine.set.model.left.{entry}"]
    work = planned(*variant, f"{key}={values}", row="mine").work

    def value(run):
        left = run.config.model.left
        return left.parts["noise"].options["std"] if left.parts else left.connections.kernel

    assert [row.name for row in work.rows] == ["setting_1", "setting_2"]
    assert [value(row.runs[0][0]) for row in work.rows] == values


def test_draws_are_planned_as_a_grid_is():
    found = planned("pretraining.left.epochs=randint(1, 9)", samples=3, row="left")
    epochs = [str(row.runs[0][0].config.training.epochs) for row in found.work.rows]
    assert epochs == [setting["pretraining.left.epochs"] for setting in found.search.settings] and len(epochs) > 1


def test_columns_follow_from_the_row():
    key = "model.left.width=[0.0625, 0.125]"
    assert planned(key, row="left").measures == ["fine_pct"]
    assert planned(key, row="unilateral").measures == ["fine_pct", "coarse_pct"]
    wanted = ["joint_both_pct", "parameters"]
    assert planned(key, row="unilateral", measures=wanted).measures == wanted
    with pytest.raises(ConfigError, match="--measure: the row's table has no column 'joint_fine_pct'; it has fine_pct"):
        planned(key, row="left", measures=["joint_fine_pct"])
    with pytest.raises(ConfigError, match="no column 'held_out_fine_pct'"):
        planned(key, "protocol=original", row="left", measures=["held_out_fine_pct"])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["model.left.widht=[0.1, 0.2]"], {}, "^[^:]*: model.left.widht: unknown key; did you mean model.left.width"),
        (["model.left.width=[0.1, wide]"], {}, "^[^:]*: model.left.width: [^\n]*$"),
        (["model.left.width=[0.1, 0.2]"], {"row": "lft"}, "there is no row 'lft'; did you mean left"),
        (["model.right.width=[0.1, 0.2]"], {"row": "left"}, "^no network of the row left reads model.right.width"),
        (["model.right.width=[0.1, 0.2]", "model.left.width=[0.1, 0.2]"], {"row": "left"}, "reads model.right.width"),
        (
            ["model.right.width=uniform(0.1, 1)", "model.left.width=uniform(0.1, 1)"],
            {"row": "left", "samples": 3},
            "reads model.right.width",
        ),
        (["training.epochs=uniform(1, 9)"], {"samples": 3}, "training.epochs: .* valid integer"),
        (["data.image_size=[16, 32]"], {}, "a sweep needs a key"),
        (["training.epochs=[1, 2]", "evaluate=false"], {}, "evaluate"),
    ],
)
def test_bad_input_is_refused_before_anything_is_run(arguments, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        planned(*arguments, **options)
    assert not (tmp_path / "runs").exists()
