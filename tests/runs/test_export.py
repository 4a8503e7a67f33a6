import re

import pytest
import torch

import bilateral
from bilateral.base.errors import CheckpointError, ConfigError, OutputError
from bilateral.base.yaml_files import parse_yaml
from bilateral.runs.config import check_config, read_config
from bilateral.runs.export import export, runs_of
from bilateral.runs.plan import Run
from bilateral.runs.runner import Runner
from bilateral.runs.stored import StoredRun
from bilateral.training import checkpoint

TINY = {"shapes": {"train_per_class": 2, "test_per_class": 1}}
HEMISPHERE = {"arch": "resnet9", "width": 0.0625}
ACCURACIES = {"fine": "test_acc_fine", "coarse": "test_acc_coarse"}


@pytest.fixture
def run(tiny, tmp_path):
    config = check_config(
        {
            "name": "mine",
            "save_dir": str(tmp_path / "runs"),
            "model": {"mode_hemis": "unilateral", "left": {"width": 0.0625}},
            "training": {"epochs": 1, "batch_size": 32},
        },
        "test",
    )
    return StoredRun.open(Runner(tiny).run(Run(config, 4, "unilateral")).folder)


def test_a_network_is_halved_and_answers_as_before(run, tiny, tmp_path):
    card = export(run, tmp_path / "small")
    whole, half = run.network(), bilateral.load(tmp_path / "small")
    sizes = [path.stat().st_size for path in map(checkpoint.find, (run.folder, tmp_path / "small"))]
    assert sizes[1] < 0.65 * sizes[0]
    for name, tensor in half.state_dict().items():
        own = whole.state_dict()[name]
        assert tensor.dtype == own.dtype and torch.equal(
            tensor, own.half().to(own.dtype) if own.is_floating_point() else own
        )
    images = half.normalise(tiny.test.images)
    with torch.no_grad():
        assert (half(images).fine - whole(images).fine).abs().max() < 0.05
    text, metrics = card.read_text(), run.record.metrics
    assert card == tmp_path / "small" / "README.md" and parse_yaml(text.split("---\n")[1])["datasets"] == ["tiny"]
    for part in (
        "\n# small\n",
        "| mine: unilateral, seed 4, `",
        f"fine {100 * metrics['test_acc_fine']:.2f} % (n = 1); coarse {100 * metrics['test_acc_coarse']:.2f} % (n = 1)",
        f"{sum(parameter.numel() for parameter in whole.parameters()):,} parameters",
        f"| trained on | tiny, fingerprint `{tiny.fingerprint}` |",
        f"commit `{run.record.commit}`",
        "left: resnet9, width 0.0625; heads for fine and coarse labels",
    ):
        assert part in text, text
    config = (tmp_path / "small" / "config.yaml").read_text()
    assert "epochs: 1\n" in config and str(tmp_path) not in config
    assert read_config(tmp_path / "small" / "config.yaml").training == run.config.training
    assert export(run, tmp_path / "small") == card  # again, in place of the first


def test_a_card_has_the_mean_over_the_seeds(run, tiny, tmp_path):
    other = Runner(tiny).run(Run(run.config, 5, "unilateral"))
    means = {level: 50 * (run.metrics[key] + other.metrics[key]) for level, key in ACCURACIES.items()}
    text = export(run, tmp_path / "small").read_text()
    for level, mean in means.items():
        assert re.search(rf"{level} [\d.]+ %, {mean:.2f} ± [\d.]+ % over n = 2 seeds", text), text


def test_what_cannot_be_written_is_told(run, tmp_path, monkeypatch):
    with pytest.raises(OutputError, match=r"holds held_out_predictions\.npz, which is no part of an export"):
        export(run, run.folder)
    with pytest.raises(OutputError):
        export(run, run.folder / "run.yaml" / "small")
    network = run.network()
    with torch.no_grad():
        network.heads["fine"][1].bias[0] = 1e6
    monkeypatch.setattr(StoredRun, "network", lambda self: network)
    with pytest.raises(CheckpointError, match=r"has numbers in .*bias that half precision cannot hold"):
        export(run, tmp_path / "large")
    assert not (tmp_path / "large").exists()


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A run of two sides; exported to `my own`, with a left hemisphere beside it. The working folder is a new one."""
    monkeypatch.chdir(tmp_path)
    common = {"data": TINY, "training": {"epochs": 1}, "workers": 1, "save_dir": str(tmp_path / "made")}
    one = {"mode_hemis": "unilateral", "mode_heads": "fine", "left": HEMISPHERE}
    (left,) = bilateral.train({**common, "model": one})
    (both,) = bilateral.train({**common, "model": {"left": HEMISPHERE, "right": HEMISPHERE}})
    export(both, tmp_path / "my own")
    export(left, tmp_path / "my own" / "left")
    return both


def test_an_exported_network_is_tested_once_with_its_companions(made, tmp_path):
    found = runs_of(tmp_path / "my own", [], [])
    assert set(found) == {"", "left"}
    # Rounding to half precision moves logits a little.
    own, whole = found[""].predictions.logits["fine"], made.predictions.logits["fine"]
    assert (own - whole).abs().max() < 0.05
    assert found[""].parents()["hemispheres.left"].seed == found["left"].seed
    assert not (found[""].folder / "checkpoints").exists()
    assert runs_of(tmp_path / "my own", [], [])[""].folder == found[""].folder


def test_a_study_of_an_exported_network(made, tmp_path):
    study = bilateral.open_study("my own")
    assert list(study.rows) == ["specialised", "left"] and study.folder.name == "my own"
    assert study.config.name == "my_own"
    assert study.predictions("left")[0].logits.keys() == {"fine"}
    whole = made.network().state_dict()["heads.fine.1.weight"]
    assert study.systems[0].network.state_dict()["heads.fine.1.weight"].equal(whole.half().float())
    with pytest.raises(ConfigError, match="is an exported network, which is looked into by itself"):
        bilateral.open_study(["my own", "my own"])


def test_data_that_the_network_was_not_trained_for(made, tmp_path):
    with pytest.raises(CheckpointError, match="40 fine and 8 coarse labels apart, the data set navon has 36 and 6"):
        bilateral.open_study("my own", ["data.name=navon", "data.shapes={}"])
