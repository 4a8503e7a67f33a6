import sys

import pytest

from bilateral.base.errors import ConfigError
from bilateral.benchmark import training
from bilateral.benchmark.child import in_child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux")
LEAK = """
import torch
from bilateral.models.backbones.base import Backbone

leaked = []

class Leak(torch.nn.Module):
    def forward(self, images):
        if self.training:
            leaked.append(torch.ones(2_500_000))
        return images.float().mean((2, 3))


class Leaking(Backbone):
    stages, num_features = ("leak", "layer"), 8

    def __init__(self, config):
        super().__init__()
        self.leak, self.layer = Leak(), torch.nn.Linear(3, 8)
"""


def test_growth_is_what_is_leaked_after_the_second_epoch(small, tmp_path, monkeypatch):
    (tmp_path / "leaking.py").write_text(LEAK)
    monkeypatch.syspath_prepend(tmp_path)
    left = small.model.left.model_copy(update={"arch": "leaking:Leaking"})
    leaking = small.model_copy(update={"model": small.model.model_copy(update={"left": left})})
    measured = in_child(training.measure_memory, leaking, 100, epochs=4)
    # Two steps an epoch, in each of the last two epochs, of 10 MB each.
    assert 38e6 < measured["memory_growth_bytes"] < 60e6
    assert measured["memory_peak_bytes"] > 80e6 + measured["memory_growth_bytes"]


def test_a_system_that_does_not_tell(small, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_STATUS", tmp_path / "status")
    with pytest.raises(ConfigError, match="Linux only"):
        training.measure_memory(small, 100)
