import torch
from torch import nn

from bilateral.models.network import Network
from bilateral.training.calibration import CALIBRATION_BATCH, calibrate_batch_norm


def test_statistics_become_those_of_the_images_and_nothing_else_changes():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.3)).eval()
    network.num_features = 4
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.randn(2 * CALIBRATION_BATCH, 3, 8, 8) * 3 + 1
    calibrate_batch_norm(Network({"left": network}, {}).eval(), ["left"], images)
    after = network.state_dict()
    values = network[0](images).detach()
    assert torch.allclose(after["1.running_mean"], values.mean((0, 2, 3)), atol=1e-3)
    assert torch.allclose(after["1.running_var"], values.var((0, 2, 3)), rtol=0.01)
    assert network[1].momentum == 0.3 and not network[1].training
    for name in ("0.weight", "0.bias", "1.weight", "1.bias"):
        assert after[name].equal(before[name])
