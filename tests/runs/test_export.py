import pytest
import torch

import bilateral
from bilateral.base.errors import CheckpointError, OutputError
from bilateral.runs.config import check_config
from bilateral.runs.export import export
from bilateral.runs.plan import Run
from bilateral.runs.runner import Runner
from bilateral.runs.stored import StoredRun
from bilateral.training import checkpoint


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
    card = export(run, tmp_path / "small.safetensors")
    whole, half = run.network(), bilateral.load(tmp_path / "small.safetensors")
    sizes = [path.stat().st_size for path in (checkpoint.find(run.folder), tmp_path / "small.safetensors")]
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
    assert card == tmp_path / "small.md" and text.startswith("# mine: unilateral, seed 4\n")
    for part in (
        f"fine {100 * metrics['test_acc_fine']:.2f} %, coarse {100 * metrics['test_acc_coarse']:.2f} %",
        f"{sum(parameter.numel() for parameter in whole.parameters()):,} parameters",
        f"| data | tiny, fingerprint `{tiny.fingerprint}` |",
        f"by commit `{run.record.commit}`",
        "Left: resnet9, width 0.0625, heads: fine and coarse",
        "epochs: 1\n",
    ):
        assert part in text, text


def test_what_cannot_be_written_is_told(run, tmp_path, monkeypatch):
    with pytest.raises(OutputError, match=r"small.pt: a network is written as a file that ends in \.safetensors"):
        export(run, tmp_path / "small.pt")
    with pytest.raises(OutputError):
        export(run, run.folder / "run.yaml" / "small.safetensors")
    network = run.network()
    with torch.no_grad():
        network.heads["fine"][1].bias[0] = 1e6
    monkeypatch.setattr(StoredRun, "network", lambda self: network)
    with pytest.raises(CheckpointError, match=r"has numbers in .*bias that half precision cannot hold"):
        export(run, tmp_path / "large.safetensors")
    assert not list(tmp_path.glob("*.safetensors"))
