"""`trainer.py` and `train_system.py` with the documented arguments, on folders of images."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COARSE = {0: 0, 1: 0, 2: 1, 3: 1}


def door(script: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / script), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with images in the documented layout and the shipped config, whose paths alone are changed."""
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 3)):
        for fine, coarse in COARSE.items():
            for number in range(count):
                pixels = random.integers(0, 80, (32, 32, 3), dtype=np.uint8)
                pixels[4 + 6 * fine : 8 + 6 * fine] = 240
                for level, label in (("fine", fine), ("coarse", coarse)):
                    folder = tmp_path / "images" / split / level / str(label)
                    folder.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(folder / f"c{fine}_{number}.png")
    config = yaml.safe_load((ROOT / "configs" / "config.yaml").read_text())
    config["dataset"] = {"train_dir": "images/train", "test_dir": "images/test"}
    config["trainer_params"]["max_epochs"] = 1
    config["hparams"]["batch_size"] = 16
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def only(project: Path, pattern: str) -> Path:
    found = sorted(project.glob(pattern))
    assert len(found) == 1, found
    return found[0]


def test_example_1_by_hand(project):
    """Left on fine labels, right on coarse labels, joined frozen: each step as the documentation has it."""
    for heads in ("fine", "coarse"):
        result = door("trainer.py", f"hparams.mode_heads={heads}", f"exp_name={heads}", cwd=project)
        assert result.returncode == 0, result.stderr
    left = only(project, "runs/fine-unilateral-resnet9-fine/*-seed4-*/checkpoints/best.safetensors")
    right = only(project, "runs/coarse-unilateral-resnet9-coarse/*-seed4-*/checkpoints/best.safetensors")
    config = yaml.safe_load((project / "configs" / "config.yaml").read_text())
    config["exp_name"] = "joined"
    config["hparams"] |= {"mode_hemis": "bilateral", "mode_heads": "both", "carch": "resnet9"}
    config["hparams"] |= {
        "ffreeze": True,
        "cfreeze": True,
        "model_path_fine": str(left),
        "model_path_coarse": str(right),
    }
    (project / "joined.yaml").write_text(yaml.safe_dump(config))
    result = door("trainer.py", "--config", "joined.yaml", cwd=project)
    assert result.returncode == 0, result.stderr
    group = project / "runs" / "joined-bilateral-resnet9-resnet9-both"
    summary = yaml.safe_load((group / "result_all.yaml").read_text())["summary"]
    assert {"mean_fine", "stddev_fine", "mean_coarse", "stddev_coarse"} <= summary.keys()
    metrics = yaml.safe_load(only(group, "*-seed4-*/result.yaml").read_text())[0]
    assert {"test_loss", "test_acc", "test_acc_fine", "test_loss_coarse"} <= metrics.keys()


def test_train_system_takes_the_documented_arguments(project):
    bases = ["--uni_base_config", "configs/config.yaml", "--bi_base_config", "bilateral.yaml"]
    config = yaml.safe_load((project / "configs" / "config.yaml").read_text())
    config["exp_name"] = "both"
    config["hparams"] |= {"mode_hemis": "bilateral", "mode_heads": "both", "carch": "resnet9"}
    config["hparams"] |= {"ffreeze": True, "cfreeze": True}
    (project / "bilateral.yaml").write_text(yaml.safe_dump(config))
    small = ["model.left.width=0.0625", "model.right.width=0.0625"]
    options = ["--arch", "sparse_resnet9", "--num_seeds", "2", "--epochs", "1", "2", "3"]
    result = door("train_system.py", *bases, *options, *small, cwd=project)
    assert result.returncode == 0, result.stderr
    assert "bilateral" in result.stdout
    for group, epochs in (
        ("both-unilateral-sparse_resnet9-fine", 1),
        ("both-unilateral-sparse_resnet9-coarse", 2),
        ("both-bilateral-sparse_resnet9-sparse_resnet9-both", 3),
    ):
        for seed in (0, 1):
            lines = only(project, f"runs/{group}/*-seed{seed}-*/metrics.jsonl").read_text().splitlines()
            assert len(lines) == epochs

    pairs = {
        f"{level}_checkpoints": [str(path) for path in sorted(project.glob(f"runs/both-unilateral-*-{level}/*-seed*"))]
        for level in ("fine", "coarse")
    }
    (project / "trained.yaml").write_text(yaml.safe_dump(pairs))
    given = ["--trained_models", "trained.yaml", "--arch", "sparse_resnet9", "--epochs", "1", "1", "2"]
    result = door("train_system.py", *bases, *given, *small, cwd=project)
    assert result.returncode == 0, result.stderr
    assert "left alone" in result.stdout
    assert len(list(project.glob("runs/both-unilateral-*/*-seed*"))) == 4

    stopped = door("train_system.py", *bases, "--no_bilateral", "exp_name=alone", *small, cwd=project)
    assert stopped.returncode == 0, stopped.stderr
    assert not list(project.glob("runs/alone-bilateral*"))


def test_train_system_tells_what_it_does_not_take(project):
    config = yaml.safe_load((project / "configs" / "config.yaml").read_text())
    config["hparams"] |= {"farch": "vgg11", "dropout": 0.25}
    (project / "uni.yaml").write_text(yaml.safe_dump(config))
    config["hparams"] |= {"mode_hemis": "bilateral", "mode_heads": "both", "farch": "resnet9", "carch": "resnet9"}
    config["hparams"] |= {"ffreeze": True, "cfreeze": True, "model_path_fine": "old.ckpt"}
    (project / "bi.yaml").write_text(yaml.safe_dump(config))
    bases = ["--uni_base_config", "uni.yaml", "--bi_base_config", "bi.yaml"]
    result = door("train_system.py", *bases, "--no_bilateral", "pretraining.left.epochs=2", cwd=project)
    assert result.returncode == 0, result.stderr
    assert "what it says of arch differs from bi.yaml" in result.stderr and "checkpoint of the left" in result.stderr
    metrics = only(project, "runs/base-unilateral-resnet9-fine/*/metrics.jsonl").read_text().splitlines()
    assert len(metrics) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0", "1", "1"], "pretraining.left.epochs"),
        (["--epochs", "1", "1", "-1"], "training.epochs"),
        (["--num_seeds", "0"], "--num_seeds: must be 1 or more"),
        (["--epochs", "1", "2"], "expected 3 arguments"),
        (["--trained_models", "nothing.yaml"], "fine_checkpoints and coarse_checkpoints"),
        (["--uni_base_config", "nothing.yaml"], "cannot read the config nothing.yaml"),
    ],
)
def test_bad_arguments_of_train_system(project, arguments, message):
    bases = [
        f"{key}={ROOT}/configs/published/{value}.yaml"
        for key, value in (("--uni_base_config", "single_hemisphere"), ("--bi_base_config", "bilateral_specialised"))
    ]
    result = door("train_system.py", *bases, *arguments, cwd=project)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr and "Traceback" not in result.stderr


def test_a_recipe_and_overrides_anywhere_reach_all_stages(project):
    config = yaml.safe_load((project / "configs" / "config.yaml").read_text())
    config["hparams"] |= {"mode_hemis": "bilateral", "mode_heads": "both", "carch": "resnet9"}
    (project / "bi.yaml").write_text(yaml.safe_dump(config))
    bases = ["--uni_base_config", "configs/config.yaml", "--bi_base_config", "bi.yaml"]
    order = [
        "training.recipe=fast",
        *bases,
        "model.left.width=0.0625",
        "--epochs",
        "1",
        "1",
        "2",
        "model.right.width=0.0625",
    ]
    result = door("train_system.py", *order, cwd=project)
    assert result.returncode == 0, result.stderr
    assert "differs from" not in result.stderr
    for heads, epochs in (("fine", 1), ("coarse", 1), ("both", 2)):
        run = yaml.safe_load(only(project, f"runs/base-*-{heads}/*-seed0-*/config.yaml").read_text())["training"]
        assert (run["recipe"], run["optimizer"], run["schedule"], run["epochs"]) == ("fast", "muon", "linear", epochs)
