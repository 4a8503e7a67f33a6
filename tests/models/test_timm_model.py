"""Models of timm as hemispheres. `make test-timm` runs these where timm is not installed."""

import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

import bilateral
from bilateral.analysis.gradcam import class_activation_maps
from bilateral.base.errors import ConfigError
from bilateral.models.backbones import build_backbone
from bilateral.models.build import build_network, try_out
from bilateral.models.config import HemisphereConfig, ModelConfig

ARCH = "timm:test_resnet"


@pytest.fixture(scope="module")
def timm():
    # torchvision's compiled part may want a GPU's libraries; timm needs it for nothing that is done here.
    library = torch.library.Library("torchvision", "DEF")
    if not hasattr(torch.ops.torchvision, "nms"):
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    yield pytest.importorskip("timm", reason="timm is not installed: make test-timm")
    del library


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def build(arch, **settings):
    return build_backbone(HemisphereConfig(arch=arch, **settings))


def test_without_timm_the_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r'^arch: timm:resnet18 needs timm, .*pip install "bilateral\[timm\]"$'):
        build("timm:resnet18")


@pytest.mark.parametrize(
    "arch, stages",
    [
        ("test_resnet", ("act1", "layer1", "layer2", "layer3", "layer4", "pool")),
        ("test_convnext", ("stages_0", "stages_1", "stages_2", "stages_3", "pool")),
        ("mobilenetv3_small_050", ("bn1", "blocks_0", "blocks_1", "blocks_3", "blocks_5", "pool")),
        ("test_vit", ("features",)),
    ],
)
def test_the_stages_one_after_another_are_the_model(timm, images, arch, stages):
    settings = {"img_size": 64} if "vit" in arch else {}
    torch.manual_seed(0)
    model = timm.create_model(arch, num_classes=0, **settings)
    torch.manual_seed(0)
    backbone = build(f"timm:{arch}", options=settings)
    assert backbone.stages == stages
    for mode in (True, False):
        torch.manual_seed(1)
        expected = model.train(mode)(images)
        torch.manual_seed(1)
        assert torch.equal(backbone.train(mode)(images), expected) and expected.shape[1] == backbone.num_features
    if len(stages) > 1:
        values, maps = images, model.forward_intermediates(images, intermediates_only=True)
        for stage, expected in zip(stages, maps):
            values = getattr(backbone, stage)(values)
            assert torch.equal(values, expected), stage


def test_a_momentum_reaches_every_layer_of_batch_norm(timm):
    layers = [layer for layer in build(ARCH, batch_norm_momentum=0.3).modules() if hasattr(layer, "momentum")]
    assert {layer.momentum for layer in layers} == {0.3} and len(layers) > 4


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"arch": "timm:resnt18"}, "^arch: timm has no model 'resnt18'; did you mean resnet18"),
        ({"arch": "timm:hf-hub:someone/model"}, "^arch: timm has no model 'hf-hub:someone/model'"),
        ({"options": {"depht": 3}}, "^options: timm cannot make test_resnet with these: TypeError: .*'depht'"),
        ({"options": {"num_classes": 3}}, "options: num_classes cannot be set here"),
        ({"options": {"pretrained": "none.pth"}}, r"^options\.pretrained: there is no file none\.pth"),
        ({"width": 0.5}, "^width: the backbone 'timm:test_resnet' has a fixed width"),
    ],
)
def test_what_timm_does_not_take_is_a_sentence(timm, settings, told):
    with pytest.raises(ConfigError, match=told) as caught:
        build(**{"arch": ARCH, **settings})
    assert "\n" not in str(caught.value)


def test_parts_bridges_and_gradcam_stand_at_its_stages(timm, images):
    left = {"arch": ARCH, "parts": {"gain": {"after": "layer2", "factor": 0.5}}}
    bridges = {"callosum": {"kind": "additive", "between": {"left": "layer3", "right": "res1"}}}
    model = ModelConfig.model_validate({"left": left, "right": {"width": 1 / 16}, "bridges": bridges})
    network, plain = (build_network(each, 6, 3, image_size=(64, 64)).eval() for each in (model, ModelConfig(left=left)))
    found = network.activations(images)
    assert torch.equal(found["left", "layer1"], plain.activations(images)["left", "layer1"])
    assert found["left", "layer3"].shape == (3, 192, 4, 4)
    maps, _ = class_activation_maps(network, images, {"left": ["layer2"], "right": ["res1"]})
    assert maps["fine", "left", "layer2"].shape == (3, 8, 8) and maps["fine", "left", "layer2"].any()


def test_pretrained_features_are_kept_and_their_checkpoint_needs_no_weights_of_timm(
    timm, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    source = timm.create_model("test_resnet")
    save_file(source.state_dict(), "weights.safetensors")
    left = {"arch": ARCH, "freeze": True, "options": {"pretrained": "weights.safetensors"}}
    config = {
        "data": {"shapes": {"train_per_class": 2, "test_per_class": 1}},
        "model": {"left": left, "right": left},
        "training": {"epochs": 1},
        "workers": 1,
    }
    caplog.set_level("INFO", "bilateral")
    (run,) = bilateral.train(config)
    assert "kept the hemispheres' features" in caplog.text
    (tmp_path / "weights.safetensors").unlink()
    with monkeypatch.context() as offline:
        offline.setattr("timm.models._builder.load_pretrained", None)
        network = bilateral.load(run.folder)
    expected = source.state_dict()["layer2.0.conv1.weight"]
    assert torch.equal(network.hemispheres["left"].layer2.layer2[0].conv1.weight, expected)
    assert len(network.predict(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).fine.names) == 2
    save_file(timm.create_model("test_resnet").state_dict(), "weights.safetensors")
    (other,) = bilateral.train(config)
    assert other.folder != run.folder, "the file's content is part of a run's identity"


def test_the_page_on_timm_is_true(timm):
    page = (Path(__file__).parents[2] / "docs" / "parts.md").read_text()
    [text] = re.findall(r"```yaml\n([^`]*timm:resnet18.*?)```", page, re.DOTALL)
    vit = {"left": {"arch": "timm:vit_tiny_patch16_224", "options": {"img_size": 32, "patch_size": 4}}}
    for model in (yaml.safe_load(text)["model"], vit):
        config = ModelConfig.model_validate(model)
        with torch.device("meta"):
            try_out(build_network(config, 6, 3), config, (32, 32))
