from importlib.util import find_spec

import pytest

from bilateral.base import used_code
from bilateral.runs import identity
from bilateral.runs.config import check_config
from bilateral.runs.plan import Run
from conftest import system_runs


def run(seed: int = 0, **values: object) -> Run:
    return Run(check_config({"model": {"left": {"width": 0.5}}, **values}, "test"), seed)


def test_the_same_has_the_same_id_wherever_it_is_written():
    assert run().identity("data") == run(save_dir="elsewhere", name="other").identity("data")
    assert run().identity("data") == run(training={"device": "cpu", "log_every_steps": 3}).identity("data")


def test_views_count_only_where_features_are_kept():
    def network(views: int, freeze: bool) -> Run:
        model = {side: {"freeze": freeze, "width": 0.5} for side in ("left", "right")}
        return run(model=model, training={"feature_views": views})

    assert network(1, freeze=False).identity("data") == network(2, freeze=False).identity("data")
    assert network(1, freeze=True).identity("data") != network(2, freeze=True).identity("data")


@pytest.mark.parametrize(
    "values",
    [
        {"training": {"epochs": 11}},
        {"model": {"left": {"width": 0.25}}},
        {"protocol": "original"},
        {"data": {"validation_fraction": 0.2}},
        {"data": {"split_seed": 1}},
        {"checkpoints": {"monitor": "val_loss"}},
        {"seed": 1},
    ],
)
def test_whatever_changes_the_result_changes_the_id(values):
    assert run(**values).identity("data") != run().identity("data")


def test_other_data_and_other_parents_are_other_runs():
    assert run().identity("data") != run().identity("other data")
    child, other = (Run(run().config, 0, parents={"hemispheres.left": run(seed)}) for seed in (0, 1))
    assert child.identity("data") != other.identity("data")


def test_seeds_are_of_one_kind_but_not_with_otherwise_trained_hemispheres():
    def bilateral(seed: int, epochs: int) -> Run:
        values = {"pretraining": {"left": {"epochs": epochs}}}
        return system_runs(check_config(values, "test"), seed)["specialised"]

    assert bilateral(0, 5).kind("data") == bilateral(1, 5).kind("data")
    assert bilateral(0, 5).kind("data") != bilateral(1, 6).kind("data")


def test_a_checkpoint_counts_by_its_content(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"one")
    first = run(model={"left": {"checkpoint": str(path)}}).identity("data")
    path.write_bytes(b"two")
    assert run(model={"left": {"checkpoint": str(path)}}).identity("data") != first


def forget() -> None:
    for kept in (used_code._read, used_code._is_library, identity.code):
        kept.cache_clear()


@pytest.fixture
def edited(monkeypatch):
    """Gives the code's digest after an edit of the package's source, of which the files stay as they are."""
    source = used_code._source

    def edited(module: str = "runs.plan", old: str = "", new: str = "", arch: str = "resnet9:ResNet9") -> str:
        def other(name: str) -> tuple[str | bytes | None, bool]:
            text, is_package = source(name)
            if name == f"bilateral.{module}":
                assert old in (text or ""), f"{module} has no {old!r}"
                text = text.replace(old, new) if text and old else f"{text or ''}\n{new}\n"
            return text, is_package

        monkeypatch.setattr(used_code, "_source", other)
        forget()
        return identity.code((f"bilateral.models.backbones.{arch}",))

    yield edited
    forget()


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("runs.execution", "dataset.train, dataset.test", "dataset.test, dataset.test"),
        ("training.loop", "% at_once == 0", "% at_once == 1"),
        ("training.evaluation", "EVALUATION_BATCH = 500", "EVALUATION_BATCH = 250"),
        ("training.distributed", "return own * world_size() / whole", "return own / whole"),
        ("data.augment", "< 0.5", "< 0.6"),
        ("data.images", "self.images[indices]", "self.images[indices + 0]"),
        ("base.streams", "sha256", "sha512"),
        ("models.build", "nn.Linear", "nn.LazyLinear"),
        ("models.backbones.base", "TORCH_MOMENTUM = 0.1", "TORCH_MOMENTUM = 0.2"),
        ("models.backbones.base", "getattr(self, stage)(values)", "getattr(self, stage)(2 * values)"),
        ("models.backbones.resnet9", "nn.ReLU()", "nn.GELU()"),
        ("models", "", "import torch\ntorch.backends.cudnn.benchmark = True"),
    ],
)
def test_code_that_is_used_counts(edited, module, old, new):
    before = edited()
    assert edited(module, old, new) != before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("training.loop", "", "# a remark"),
        ("training.loop", '"""The training loop."""', '"""Trains."""'),
        ("training.loop", '"""Add a batch."""', ""),
        ("training.loop", "def _validate(network: Network,", "def _validate(network,"),
        ("training.loop", "", "def unused():\n    return 1"),
        ("training.loop", "", "UNUSED = 1"),
        ("training.loop", "import math", "import math\nfrom ..data import corruptions"),
        ("models.network", "", "class Unused(Network):\n    pass"),
        ("models.parts.kwta", "winners", "losers"),
        ("models.backbones.vgg", "nn.ReLU", "nn.GELU"),
        ("models.backbones", '"resnet9": f', '"new": f"{_HERE}.new:New", "resnet9": f'),
        ("models.parts", '"noise": ', '"new": "bilateral.models.parts.new:New", "noise": '),
        ("models.parts.noise", "MOMENTUM = 0.1", "MOMENTUM = 0.2"),
        ("models.bridges.additive", "sent[0], received[0]", "received[0], sent[0]"),
        ("models.backbones.new", "", "class New:\n    pass"),
        ("models.cost", "", "SCALE = 2"),
        ("training.progress", "bar_width=24", "bar_width=30"),
        ("training.records", '"epoch": epoch', '"epoch_number": epoch'),
        ("training.config", '"epochs": 10,', '"epochs": 11,'),
        ("runs.runner", "", "class Unused:\n    pass"),
        ("base.errors", "", "class UnusedError(BilateralError):\n    pass"),
    ],
)
def test_code_that_is_not_used_does_not_count(edited, module, old, new):
    before = edited()
    assert edited(module, old, new) == before


def test_the_backbone_in_use_counts_with_what_it_uses(edited):
    k_winners = ("models.parts.kwta", "return", "return 2 *")
    assert edited(*k_winners) == edited()
    assert edited(*k_winners, arch="sparse_resnet9:SparseResNet9") != edited(arch="sparse_resnet9:SparseResNet9")
    assert edited(arch="vgg:VGG11") != edited()


def test_a_part_in_use_counts_with_its_settings():
    def noisy(**options: object) -> Run:
        return run(model={"left": {"parts": {"noise": {"after": "conv2", "std": 0.1, **options}}}})

    ids = {each.identity("data") for each in (run(), noisy(), noisy(std=0.2), noisy(after="res1"))}
    assert len(ids) == 4 and noisy().identity("data") == noisy(training=True).identity("data")
    assert noisy().code != run().code


def test_a_constant_that_an_own_backbone_imports_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_backbone.py").write_text(
        "from bilateral.models.backbones.base import Backbone\nfrom my_sizes import FEATURES\n"
        "class Mine(Backbone):\n    num_features = FEATURES\nclass Other(Backbone):\n    pass\n"
    )

    def digest(sizes: str) -> str:
        (tmp_path / "my_sizes.py").write_text(sizes)
        forget()
        return run(model={"left": {"arch": "my_backbone:Mine"}}).identity("data")

    before = digest("FEATURES = 2\n")
    assert digest("# their number\nFEATURES = 2\nOTHERS = 3\n") == before
    assert digest("FEATURES = 3\n") != before
    forget()


def test_a_system_of_resnet9_reaches_these_modules():
    plan = system_runs(check_config({"model": {"right": {"arch": "resnet9"}}}, "test"), 0)
    assert len({planned.code for planned in plan.values()}) == 1
    found = used_code.used_code([*identity.ROOTS, "bilateral.models.backbones.resnet9:ResNet9"], identity.APART)
    modules = {place.module.removeprefix("bilateral.") for place in found}
    assert modules >= {
        *("base.streams", "data.augment", "data.batches", "data.hierarchy", "data.images", "data.splits"),
        *("models.backbones", "models.backbones.base", "models.backbones.resnet9", "models.build"),
        *(
            "models.network",
            "models.steps",
            "models.joins.concatenation",
            "models.parts.dropout",
            "runs.execution",
            "training.calibration",
            "training.checkpoint",
            "training.device",
        ),
        *("training.distributed", "training.evaluation", "training.inputs", "training.kept_tensors"),
        *("training.keeping", "training.loop", "training.objective", "training.optimisation"),
    }
    assert not modules & {
        *("data.config", "data.folders", "data.shapes", "data.sources", "models.backbones.vgg", "models.config"),
        *(
            "models.cost",
            "models.parts.kwta",
            "runs.config",
            "runs.identity",
            "runs.plan",
            "runs.runner",
            "runs.system",
        ),
        *("training.config", "training.progress", "training.records", "training.run_record"),
    }


def test_what_is_said_to_be_apart_is_there():
    assert all(find_spec(module) for module in identity.APART)
