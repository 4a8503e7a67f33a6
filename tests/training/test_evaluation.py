import pytest
import torch

from bilateral.base.errors import OutOfMemoryError, TrainingDivergedError
from bilateral.data.augment import Normalisation
from bilateral.models.output import Output
from bilateral.training import evaluation
from bilateral.training.evaluation import evaluate


class Oracle(torch.nn.Module):
    """Tells fine labels of the tiny set by the bright row, but always takes `b` for `a`; its coarse head says 0."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, images: torch.Tensor) -> Output:
        assert not self.training
        fine = images.mean((1, 3))[:, 4:10] * self.scale
        fine[:, 0] = -9
        coarse = torch.tensor([[1.0, 0.0, 0.0]]).expand(len(images), 3)
        return Output(fine, coarse, {"left": fine})


def test_metrics_by_hand(tiny, monkeypatch):
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 7)
    network = Oracle()
    network.train()
    result = evaluate(network, tiny.test, Normalisation(tiny.mean, tiny.std))
    metrics = result.metrics("test", tiny.hierarchy)
    assert network.training
    assert metrics["test_acc_fine"] == pytest.approx(5 / 6)
    assert metrics["test_acc_coarse"] == pytest.approx(1 / 3)
    assert metrics["test_acc"] == pytest.approx(5 / 6 + 1 / 3)
    wrong_superclass = (result.logits["fine"].argmax(1)[tiny.test.fine == 0] >= 2).float().mean().item()
    assert metrics["test_acc_rollup"] == pytest.approx(1 - wrong_superclass / 6)
    assert result.features["left"].shape == (30, 6)
    assert metrics["test_loss"] == pytest.approx(metrics["test_loss_fine"] + metrics["test_loss_coarse"])


def test_weights_come_with_it_where_the_join_weighs(tiny):
    class Weighing(Oracle):
        def forward(self, images: torch.Tensor) -> Output:
            output = super().forward(images)
            return Output(output.fine, output.coarse, output.features, weights={"left": images.mean((1, 2, 3))})

    normalise = Normalisation(tiny.mean, tiny.std)
    found = evaluate(Weighing(), tiny.test, normalise).weights
    torch.testing.assert_close(found, {"left": normalise(tiny.test.images).mean((1, 2, 3))})
    assert evaluate(Oracle(), tiny.test, normalise).weights == {}


def test_one_head_has_the_short_names(tiny):
    class FineOnly(Oracle):
        def forward(self, images: torch.Tensor) -> Output:
            output = super().forward(images)
            return Output(output.fine, None, output.features)

    metrics = evaluate(FineOnly(), tiny.test, Normalisation(tiny.mean, tiny.std)).metrics("val", tiny.hierarchy)
    assert set(metrics) == {"val_loss", "val_acc", "val_acc_rollup"}


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_what_is_no_number_has_no_accuracy(tiny, scale):
    network = Oracle()
    network.scale.data.fill_(scale)
    with pytest.raises(TrainingDivergedError, match="no finite numbers for 30 of 30 images"):
        evaluate(network, tiny.test, Normalisation(tiny.mean, tiny.std))


def test_too_little_memory_for_a_test_is_a_sentence(tiny):
    class Hungry(Oracle):
        def forward(self, images: torch.Tensor) -> Output:
            return super().forward(torch.empty(2**60, dtype=torch.uint8))

    with pytest.raises(OutOfMemoryError, match="not enough memory for testing a network"):
        evaluate(Hungry(), tiny.test, Normalisation(tiny.mean, tiny.std))
