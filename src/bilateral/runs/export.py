"""A trained network to hand on: its weights in half the memory, and a card that says what they are."""

from pathlib import Path

from ..base.errors import CheckpointError, OutputError
from ..base.files import check_place, write_text
from ..base.yaml_files import to_yaml
from ..models.build import not_finite
from ..training import checkpoint
from .stored import StoredRun


def export(run: StoredRun, path: Path) -> Path:
    """Write a run's tested network to `path` (.safetensors) in half precision, and its card beside it (.md); give that.

    The weights are rounded to 11 significant bits, and computed with in float32 once they are loaded. Raises
    CheckpointError for weights that half precision cannot hold, OutputError for a place that cannot be written.
    """
    if path.suffix != ".safetensors":
        raise OutputError(f"{path}: a network is written as a file that ends in .safetensors; give such a name")
    check_place(path)
    network = run.network().half()
    odd = not_finite(network.state_dict())
    if odd is not None:
        raise CheckpointError(f"the network of {run.folder} has numbers in {odd} that half precision cannot hold")
    checkpoint.save(path, network, run.description)
    card = path.with_suffix(".md")
    write_text(card, _card(run, path.name, sum(tensor.numel() for tensor in network.parameters())))
    return card


def _card(run: StoredRun, file: str, parameters: int) -> str:
    record, config = run.record, run.config
    hemispheres = " and ".join(
        f"{side}: {each.arch}, width {each.width:g}" for side, each in config.model.hemispheres.items()
    )
    levels = config.model.levels
    accuracies = ", ".join(
        f"{level} {100 * record.metrics[name]:.2f} %"
        for level, name in (("fine", "test_acc_fine"), ("coarse", "test_acc_coarse"), ("", "test_acc"))
        if name in record.metrics and (level or len(levels) == 1)
    )
    return f"""# {config.name}: {record.role}, seed {record.seed}

{hemispheres[0].upper() + hemispheres[1:]}, head{"s" * (len(levels) > 1)}: {" and ".join(levels)}; \
{parameters:,} parameters, in half precision. Load it by `bilateral.load("{file}")`.

| | |
|---|---|
| data | {record.data.name}, fingerprint `{record.data.fingerprint}` |
| protocol | {config.protocol} |
| accuracy on the test images, as trained | {accuracies.strip() or "not tested"} |
| seed, run | {record.seed}, `{run.folder.name}` |
| trained | {record.finished}, by commit `{record.commit}` on {record.machine.get("device")} |

Training:

```yaml
{to_yaml(config.training.model_dump(mode="json", exclude_none=True))}```
"""
