import pytest
import torch

from bilateral.models.output import Output
from bilateral.training.objective import losses


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_smoothing_moves_its_share_of_the_target_to_all_classes_alike(smoothing):
    logits, labels = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]]), torch.tensor([0, 2])
    surprise = -logits.log_softmax(1)
    expected = (1 - smoothing) * surprise[[0, 1], labels].mean() + smoothing * surprise.mean()
    found = losses(Output(logits, None, {}), {"fine": labels, "coarse": labels}, smoothing)
    assert found.keys() == {"fine"}
    torch.testing.assert_close(found["fine"], expected)
