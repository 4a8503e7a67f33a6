"""What a model's config accepts, completes and refuses."""

import pytest
from pydantic import ValidationError

from bilateral.models.config import HemisphereConfig, ModelConfig, SparsityConfig


def test_the_default_is_a_bilateral_network_of_two_resnet9_under_both_heads():
    config = ModelConfig()
    assert (config.mode_hemis, config.mode_heads, config.mode_out, config.dropout) == ("bilateral", "both", "pred", 0.6)
    assert list(config.hemispheres) == ["left", "right"]
    assert {hemisphere.arch for hemisphere in config.hemispheres.values()} == {"resnet9"}
    assert not any(hemisphere.freeze for hemisphere in config.hemispheres.values())


def test_left_is_for_fine_and_right_for_coarse_unless_said_otherwise():
    config = ModelConfig(left={"arch": "vgg11"})
    assert (config.left.level, config.right.level) == ("fine", "coarse")
    config = ModelConfig(left={"level": "coarse"}, right={"level": "both"})
    assert (config.left.level, config.right.level) == ("coarse", "both")


@pytest.mark.parametrize(
    "given, side", [({}, "left"), ({"left": {}}, "left"), ({"right": {}}, "right"), ({"right": {"width": 2}}, "right")]
)
def test_a_unilateral_network_has_the_side_that_is_given_or_left(given, side):
    assert list(ModelConfig(mode_hemis="unilateral", **given).hemispheres) == [side]


@pytest.mark.parametrize("heads, levels", [("fine", ("fine",)), ("coarse", ("coarse",)), ("both", ("fine", "coarse"))])
def test_levels_follow_the_heads(heads, levels):
    assert ModelConfig(mode_heads=heads).levels == levels


def test_an_ensemble_has_members_alone():
    config = ModelConfig(mode_hemis="ensemble", members=["a.safetensors", "b.safetensors"], average="probabilities")
    assert config.hemispheres == {} and len(config.members) == 2


MEMBERS = ["a", "b"]


@pytest.mark.parametrize(
    "given, message",
    [
        ({"mode_hemis": "unilateral", "left": {}, "right": {}}, "give left or right, not both"),
        ({"mode_hemis": "ensemble"}, "needs `members`"),
        ({"mode_hemis": "ensemble", "members": ["a"]}, "two or more"),
        ({"mode_hemis": "ensemble", "members": ["a", "b", "a"]}, "listed twice"),
        ({"mode_hemis": "ensemble", "members": MEMBERS, "left": {}}, "left, right and checkpoint do not apply"),
        ({"mode_hemis": "ensemble", "members": MEMBERS, "checkpoint": "c"}, "left, right and checkpoint do not apply"),
        ({"members": MEMBERS}, "`members` belong to mode_hemis: ensemble, not bilateral"),
        ({"mode_hemis": "unilateral", "average": "probabilities"}, "`average` belongs to mode_hemis: ensemble"),
        ({"checkpoint": "c", "right": {"checkpoint": "r"}}, "exclude each other"),
        ({"mode_hemis": "trilateral"}, "unilateral"),
        ({"mode_heads": "none"}, "fine"),
        ({"mode_out": "logits"}, "feature"),
        ({"dropout": 1.0}, "less than 1"),
        ({"dropout": -0.1}, "greater than or equal to 0"),
        ({"farch": "resnet9"}, "Extra inputs"),
        ({"left": {"kwta": 0.5}}, "Extra inputs"),
        ({"left": {"width": 0}}, "greater than 0"),
        ({"left": {"width": 17}}, "less than or equal to 16"),
        ({"left": {"level": "middle"}}, "coarse"),
        ({"left": {"batch_norm_momentum": 0}}, "greater than 0"),
        ({"left": {"batch_norm_momentum": "torch"}}, "original"),
        ({"left": {"sparsity": {"k": 0.5}}}, "per_k"),
        ({"left": {"sparsity": {"k": 0, "per_k": 0.5}}}, "greater than 0"),
        ({"left": {"sparsity": {"k": 0.5, "per_k": 1.5}}}, "less than or equal to 1"),
        ({"left": {"sparsity": {"k": 0.5, "per_k": 0.5, "variant": "batch"}}}, "per_image"),
        ({"left": "resnet9"}, "dictionary"),
        ({"mode_hemis": "unilateral", "join": "gate"}, "gate needs two hemispheres"),
        ("bilateral", "dictionary"),
    ],
)
def test_a_contradiction_is_refused_with_its_reason(given, message):
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate(given)


def test_winners_are_chosen_image_by_image_unless_said_otherwise():
    assert SparsityConfig(k=0.5, per_k=0.5).variant == "per_image"


def test_a_config_is_the_same_after_writing_and_reading():
    config = ModelConfig(
        left={"checkpoint": "a/left.safetensors", "freeze": True}, right={"sparsity": {"k": 0.1, "per_k": 1}}
    )
    assert ModelConfig.model_validate(config.model_dump(mode="json")) == config
    with pytest.raises(ValidationError, match="frozen"):
        config.left.freeze = False


def test_sections_may_be_given_as_objects():
    right = HemisphereConfig(level="coarse", width=0.5)
    assert ModelConfig(right=right).right is right


@pytest.mark.parametrize("name", ["keys", "forward", "a.b", "", "a b", "1"])
def test_a_name_that_no_module_can_have_is_refused(name):
    for section in (
        {"left": {"parts": {name: {"kind": "noise", "after": "conv2", "std": 0.1}}}},
        {"bridges": {name: {"kind": "additive", "between": {"left": "res1", "right": "res1"}}}},
        {"lesions": {name: {"kind": "silence", "at": "left"}}},
    ):
        reason = (
            "is a word that PyTorch's modules use" if name in ("keys", "forward") else "cannot be a name; choose one of"
        )
        with pytest.raises(ValidationError, match=reason):
            ModelConfig.model_validate(section)


def test_a_setting_is_given_once():
    noise = {"after": "conv2", "std": 0.1, "options": {"std": 3}}
    with pytest.raises(ValidationError, match="std stands here and under `options`; give it once"):
        ModelConfig.model_validate({"left": {"parts": {"noise": noise}}})
    with pytest.raises(ValidationError, match="std: is missing"):
        ModelConfig.model_validate({"left": {"parts": {"noise": {"after": "conv2"}}}})


def test_a_kind_alone_may_stand_for_a_section():
    assert ModelConfig.model_validate({"join": "concat"}).join.kind == "concat"
