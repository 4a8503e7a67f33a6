import pytest
import torch
from pydantic import ValidationError

from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.parts.gain import Gain


def test_after_a_relu_it_is_a_factor_on_what_the_relu_gets():
    values = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    gain = Gain(Gain.Options(factor=1.7), values.shape[1:])
    torch.testing.assert_close(gain(values.relu()), (1.7 * values).relu())


def test_one_side_is_heard_louder():
    def features(**parts):
        sides = {"left": {"width": 1 / 16, "parts": parts}, "right": {"width": 1 / 16}}
        network = build_network(ModelConfig.model_validate(sides), 6, 3).eval()
        return network.features(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))

    plain, louder = features(), features(gain={"after": "pool", "factor": 2.0})
    torch.testing.assert_close(louder["left"], 2 * plain["left"])
    assert torch.equal(louder["right"], plain["right"])


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf")])
def test_a_factor_is_positive_and_finite(factor):
    with pytest.raises(ValidationError):
        Gain.Options(factor=factor)
