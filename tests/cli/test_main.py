import re
import subprocess
import sys

import pytest

from conftest import QUICK

COMMANDS = ["system", "experiment", "analyse", "report", "train", "evaluate", "predict", "explore", "prepare", "info"]
COMMANDS += ["bench", "data", "sweep", "export"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_explains(bilateral, command):
    result = bilateral(*command.split(), "--help")
    assert result.returncode == 0 and "Usage" in result.stdout
    if not command:
        for name in COMMANDS:
            assert name in result.stdout
    assert "docs/config.md" in result.stdout and "bilateral info CONFIG" in result.stdout
    assert not re.search(r"Parameters\s+-----", result.stdout)


def test_help_and_import_bring_no_torch():
    code = "import sys, bilateral, bilateral.cli.main; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "trian"),
        (["train", "nothing.yaml"], "cannot read the config nothing.yaml"),
        (["train", "training.epoch=3"], "did you mean training.epochs?"),
        (
            ["system", "training.epoch=3"],
            "the command line: training.epoch: unknown key; did you mean training.epochs?",
        ),
        (["system", "training.epochs", "3"], "a setting is written as one word, training.epochs=3"),
        (["system", "--epochs", "3"], "A setting has no dashes: key=value"),
        (["train", "seeds=7"], "must be a list, not 7, such as seeds=[7]"),
        (["train", "seeds=0-3"], "must be a list, not 0-3, such as seeds=[0, 1, 2], or --seeds 3 for the first three"),
        (
            ["train", "model.left.sparsity.k=0.1"],
            "model.left.sparsity.per_k: is missing; write model.left.sparsity: {k: 0.1, per_k: VALUE}",
        ),
        (["train", "data.name=imagenet"], "allowed: shapes, navon, cifar100, "),
        (["train", "data.root=x"], "data.root: the source 'shapes' does not read it"),
        (["train", "data.name=cifar100", "data.root=nowhere"], "nowhere"),
        (["train", "data.name=folders", "data.root=nowhere"], "nowhere"),
        (["train", "model.left.arch=resnet7"], "unknown backbone 'resnet7'"),
        (["train", "model.left.sparsity={k: 0.1, per_k: 0.5}"], "use sparse_resnet9"),
        (["system", "model.mode_hemis=unilateral"], "one hemisphere"),
        (["system", "--seeds", "0"], "--seeds: must be 1 or more"),
        (["experiment", str(QUICK), "--seeds", "0", "--plan"], "--seeds: must be 1 or more"),
        (["experiment", str(QUICK), "--seeds", "0,1"], "so many from 0 on, not 0,1; for others: seeds=[3,5]"),
        (["train", "quickstrat.yaml"], "did you mean configs/quickstart.yaml?"),
        (["explore", "cifar-small"], "did you mean cifar100-small?"),
        (["system", "model.left.checkpoint=nothing"], "there is no checkpoint nothing"),
        (["evaluate", "nothing"], "there is no checkpoint nothing"),
        (["predict", "nothing", "image.png"], "there is no checkpoint nothing"),
        (["predict", "nothing"], ""),
        (["bench", "--only", "speed"], "unknown measurement 'speed'"),
        (["bench", "--images", "5"], "--images: must be 100 or more"),
        (["info", "nothing"], "there is no checkpoint nothing"),
        (["prepare", "nowhere", "target"], "nowhere"),
    ],
)
def test_bad_input_is_one_clear_message_and_exit_code_2(forked, tmp_path, arguments, message):
    result = forked(*arguments)
    assert result.returncode == 2, result.stderr
    assert message in " ".join((result.stderr + result.stdout).split())
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("run.yaml"))


def test_an_output_folder_that_cannot_be_written(bilateral, tmp_path):
    (tmp_path / "runs").write_text("a file where a folder should be")
    result = bilateral("train", "data.shapes.train_per_class=4", "model.left.width=0.0625", "model.right.width=0.0625")
    assert result.returncode == 2 and "cannot write" in result.stderr and "Traceback" not in result.stderr
