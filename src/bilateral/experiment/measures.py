"""What is measured of predictions: the columns of an experiment's table."""

import torch
from torch import Tensor

from ..data.hierarchy import LabelHierarchy
from ..runs.predictions import Predictions

MEASURES = {
    "fine_pct": "fine",
    "coarse_pct": "coarse",
    "rollup_pct": "coarse by roll-up",
    "restricted_pct": "fine by restriction",
    "both_pct": "both right",
    "agreement_pct": "agreement",
    "severity": "severity",
    "nll_fine": "NLL fine",
    "nll_coarse": "NLL coarse",
    "ece_fine_pct": "ECE fine",
    "ece_coarse_pct": "ECE coarse",
}
"""The measures by name; a name ends in _pct where the unit is percent."""

CALIBRATION_BINS = 15


def measure(predictions: Predictions, hierarchy: LabelHierarchy) -> dict[str, float]:
    """Measure predictions of N images, by the names of MEASURES; what needs a head that is not there is absent.

    fine_pct, coarse_pct: accuracy. rollup_pct: of the superclass of the fine prediction. restricted_pct: of the best
    fine class within the predicted superclass. both_pct: fine and coarse prediction right. agreement_pct: the fine
    prediction belongs to the coarse one. severity: mean height of the lowest common ancestor of the fine prediction
    and the truth over the wrong ones (1: the right superclass, 2: another; Bertinetto et al. 2020, arXiv 1912.09393).
    nll: mean negative log-likelihood, in nats. ece: expected calibration error over 15 bins of equal width (Guo et al.
    2017, arXiv 1706.04599).
    """
    values: dict[str, float] = {}
    predicted = {level: logits.argmax(1) for level, logits in predictions.logits.items()}
    labels = predictions.labels
    for level, answer in predicted.items():
        values[f"{level}_pct"] = _percent(answer == labels[level])
        values |= _probabilistic(level, predictions.logits[level], labels[level])
    if "fine" in predicted:
        rolled_up = hierarchy.roll_up(predicted["fine"])
        values["rollup_pct"] = _percent(rolled_up == labels["coarse"])
        wrong = predicted["fine"] != labels["fine"]
        if wrong.any():
            height = 1 + (rolled_up != labels["coarse"]).double()
            values["severity"] = height[wrong].mean().item()
        if "coarse" in predicted:
            outside = torch.tensor(hierarchy.coarse_of_fine) != predicted["coarse"][:, None]
            restricted = predictions.logits["fine"].masked_fill(outside, -torch.inf).argmax(1)
            right = [predicted[level] == labels[level] for level in ("fine", "coarse")]
            values["restricted_pct"] = _percent(restricted == labels["fine"])
            values["both_pct"] = _percent(right[0] & right[1])
            values["agreement_pct"] = _percent(rolled_up == predicted["coarse"])
    return {name: values[name] for name in MEASURES if name in values}


def _probabilistic(level: str, logits: Tensor, labels: Tensor) -> dict[str, float]:
    from torchmetrics.functional.classification import multiclass_calibration_error  # takes seconds to import

    # A certainty of exactly 1 would fall into a bin of its own, the 16th.
    probabilities = logits.softmax(1).clamp(max=1 - 2**-24)
    error = multiclass_calibration_error(
        probabilities, labels, logits.shape[1], n_bins=CALIBRATION_BINS, norm="l1", validate_args=False
    )
    likelihood = torch.nn.functional.cross_entropy(logits.double(), labels)
    return {f"nll_{level}": likelihood.item(), f"ece_{level}_pct": 100 * error.item()}


def _percent(right: Tensor) -> float:
    return 100 * right.double().mean().item()
