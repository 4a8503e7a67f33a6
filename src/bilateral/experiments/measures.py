"""What is measured of predictions: the columns of an experiment's table."""

import torch
from torch import Tensor

from ..data.hierarchy import LabelHierarchy
from ..runs.predictions import Predictions
from .joint_inference import UNFITTED, joint_log_probabilities, least_expected_height

ACCURACIES = {
    "fine_pct": "fine",
    "coarse_pct": "coarse",
    "joint_fine_pct": "joint fine",
    "joint_coarse_pct": "joint coarse",
    "joint_both_pct": "joint both right",
    "rollup_pct": "coarse by roll-up",
    "restricted_pct": "fine by restriction",
    "both_pct": "both right",
    "agreement_pct": "agreement",
}
"""What counts an image as right or not, in percent of the images."""
MEASURES = ACCURACIES | {
    "severity": "severity",
    "crm_severity": "severity, CRM",
    "distance_1": "distance at 1",
    "crm_distance_1": "distance at 1, CRM",
    "distance_5": "at 5",
    "distance_20": "at 20",
    "joint_exponent": "exponent",
    "nll_fine": "NLL fine",
    "nll_coarse": "NLL coarse",
    "nll_joint_fine": "NLL joint fine",
    "ece_fine_pct": "ECE fine",
    "ece_coarse_pct": "ECE coarse",
}
"""All measures; a name ends in _pct where the unit is percent."""

CALIBRATION_BINS = 15
DISTANCES = (1, 5, 20)


def correct_images(
    predictions: Predictions, hierarchy: LabelHierarchy, exponent: float = UNFITTED
) -> dict[str, Tensor]:
    """Say of every image whether it counts in each of ACCURACIES: bool (N,), by name.

    What needs a head that is not there is absent. fine_pct, coarse_pct: the best class is right. joint_fine_pct,
    joint_coarse_pct: that of the joint distribution (`joint_log_probabilities`); joint_both_pct: both of these.
    rollup_pct: the superclass of the best fine class. restricted_pct: the best fine class within the best superclass.
    both_pct: fine and coarse are right. agreement_pct: the fine prediction belongs to the coarse one.
    """
    labels, found = predictions.labels, {}
    best = {level: logits.argmax(1) for level, logits in predictions.logits.items()}
    for level, answer in best.items():
        found[f"{level}_pct"] = answer == labels[level]
    if "fine" in best:
        found["rollup_pct"] = hierarchy.roll_up(best["fine"]) == labels["coarse"]
    if len(best) == 2:
        joint = joint_log_probabilities(predictions, hierarchy, exponent)
        for level in best:
            found[f"joint_{level}_pct"] = joint.correct(level)
        outside = torch.tensor(hierarchy.coarse_of_fine) != best["coarse"][:, None]
        restricted = predictions.logits["fine"].masked_fill(outside, -torch.inf).argmax(1)
        found["joint_both_pct"] = found["joint_fine_pct"] & found["joint_coarse_pct"]
        found["restricted_pct"] = restricted == labels["fine"]
        found["both_pct"] = found["fine_pct"] & found["coarse_pct"]
        found["agreement_pct"] = hierarchy.roll_up(best["fine"]) == best["coarse"]
    return {name: found[name] for name in ACCURACIES if name in found}


def measure(predictions: Predictions, hierarchy: LabelHierarchy, exponent: float = UNFITTED) -> dict[str, float]:
    """Measure predictions of N images, by the names of MEASURES; what needs a head that is not there is absent.

    exponent: of the joint distribution, fitted on held-out images. Percents: the share of `correct_images`. severity:
    mean height of the lowest common ancestor of the fine prediction and the truth over the wrong ones (1: the right
    superclass, 2: another; Bertinetto et al. 2020, arXiv 1912.09393). distance_k: mean height over all images (0: the
    truth itself) of the k best fine classes. crm_: of the class that the joint distribution expects to be nearest
    (`least_expected_height`). nll: mean negative log-likelihood, in nats. ece: expected calibration error over 15 bins
    of equal width (Guo et al. 2017, arXiv 1706.04599).
    """
    correct = correct_images(predictions, hierarchy, exponent)
    values = {name: 100 * right.double().mean().item() for name, right in correct.items()}
    logits, labels = predictions.logits, predictions.labels
    for level, own in logits.items():
        values[f"nll_{level}"] = torch.nn.functional.cross_entropy(own.double(), labels[level]).item()
        values[f"ece_{level}_pct"] = _calibration_error(own, labels[level])
    if "fine" in logits:
        ranked = logits["fine"].sort(dim=1, descending=True, stable=True).indices
        for count in DISTANCES:
            values[f"distance_{count}"] = _heights(ranked[:, :count], labels, hierarchy).mean().item()
        values |= _severity("severity", ranked[:, :1], labels, hierarchy)
    if len(logits) == 2:
        joint = joint_log_probabilities(predictions, hierarchy, exponent).logits["fine"]
        nearest = least_expected_height(joint, hierarchy)[:, None]
        values |= _severity("crm_severity", nearest, labels, hierarchy)
        values["crm_distance_1"] = _heights(nearest, labels, hierarchy).mean().item()
        values["nll_joint_fine"] = torch.nn.functional.nll_loss(joint, labels["fine"]).item()
        values["joint_exponent"] = exponent
    return {name: values[name] for name in MEASURES if name in values}


def _heights(fine: Tensor, labels: dict[str, Tensor], hierarchy: LabelHierarchy) -> Tensor:
    """Heights of the lowest common ancestors of fine classes (N, k) and the truth: 0, 1 or 2, (N, k)."""
    wrong = fine != labels["fine"][:, None]
    return wrong.double() + (hierarchy.roll_up(fine) != labels["coarse"][:, None])


def _severity(name: str, fine: Tensor, labels: dict[str, Tensor], hierarchy: LabelHierarchy) -> dict[str, float]:
    heights = _heights(fine, labels, hierarchy)
    wrong = heights > 0
    return {name: heights[wrong].mean().item()} if wrong.any() else {}


def _calibration_error(logits: Tensor, labels: Tensor) -> float:
    from torchmetrics.functional.classification import multiclass_calibration_error  # takes seconds to import

    # A certainty of exactly 1 would fall into a bin of its own, the 16th.
    probabilities = logits.softmax(1).clamp(max=1 - 2**-24)
    error = multiclass_calibration_error(
        probabilities, labels, logits.shape[1], n_bins=CALIBRATION_BINS, norm="l1", validate_args=False
    )
    return 100 * error.item()
