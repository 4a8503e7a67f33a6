"""Global and local: which side knows the large form and which the small ones of compound figures (data/navon.py).

People name the large form faster, and it slows them more when they name the small ones than the other way round
(Navon 1977, 10.1016/0010-0285(77)90012-3). Convolutional networks classify by local contours (Baker et al. 2018,
10.1371/journal.pcbi.1006613), so that the local level alone being better says little: compare the sides.
"""

import pandas as pd
import torch
from matplotlib.figure import Figure

from ..data.navon import IDENTITIES, Options, identities_of
from ..models.config import SIDES
from .activations import spread
from .heads import SILENCED, answers
from .probes import TRAINING_IMAGES, readout
from .study import NotApplicableError, Study
from .style import COLOURS, INK, panels, seed_points, told

CHANCE_PCT = 100 / len(IDENTITIES)
_LOOKS = {"global": (COLOURS["extra"], "s"), "local": (COLOURS["other"], "o")}


def compute(study: Study, readouts_only: bool = False) -> pd.DataFrame:
    """Accuracy (%) of both identities on the test images, for every seed, and on which images.

    reader: `left` or `right`, a linear readout of the side's features, trained anew on at most TRAINING_IMAGES training
    images; `fine` or `coarse`, a head of the network. A pair that the fine head says counts as its two identities; the
    coarse head says one of them. silenced: of heads, the side whose features are replaced by their mean, or `none`.
    figures: `congruent` (both identities are the same), `incongruent`, or `all`. readouts_only: leave the heads out.

    Raises NotApplicableError for other images.
    """
    if study.config.data.name != "navon":
        raise NotApplicableError("the images are not compound figures (data.name is not navon)")
    named = Options.model_validate(dict(study.config.data.options)).level
    chosen = study.dataset.train.select(spread(len(study.dataset.train), TRAINING_IMAGES))
    learnt_labels, labels = identities_of(chosen.fine), identities_of(study.images.fine)
    congruent = labels["global"] == labels["local"]
    figures = {"all": congruent | True, "congruent": congruent, "incongruent": ~congruent}
    lines = []
    for system in study.systems:
        learnt, tested = system.evaluate(chosen), study.evaluation(system)
        said = []
        for side in SIDES:
            train, test = learnt.features[side].numpy(), tested.features[side].numpy()
            for identity in labels:
                answer = torch.from_numpy(readout(train, learnt_labels[identity].numpy(), test))
                said.append((side, "none", identity, answer))
        for silenced, lesions in () if readouts_only else SILENCED.items():
            for level, best in answers(system.network, tested.features, lesions).items():
                identities = identities_of(best) if level == "fine" else {named: best}
                said += [(level, silenced, identity, answer) for identity, answer in identities.items()]
        for reader, silenced, identity, answer in said:
            right = (answer == labels[identity]).double()
            lines += [
                (system.seed, reader, silenced, identity, which, 100 * right[members].mean().item())
                for which, members in figures.items()
            ]
    return pd.DataFrame(lines, columns=["seed", "reader", "silenced", "identity", "figures", "accuracy_pct"])


def accuracy(
    table: pd.DataFrame, reader: str, identity: str, silenced: str = "none", figures: str = "all"
) -> pd.Series:
    """Accuracy (%) by seed; empty for a head that does not say this identity."""
    chosen = (table["reader"] == reader) & (table["identity"] == identity) & (table["silenced"] == silenced)
    return table[chosen & (table["figures"] == figures)].set_index("seed")["accuracy_pct"]


def interference(table: pd.DataFrame, reader: str, identity: str, silenced: str = "none") -> pd.Series:
    """By seed, what the other identity costs: points of accuracy on congruent figures less on incongruent ones."""
    congruent, incongruent = (
        accuracy(table, reader, identity, silenced, figures) for figures in ("congruent", "incongruent")
    )
    return congruent - incongruent


def locality(table: pd.DataFrame, reader: str) -> pd.Series:
    """By seed, how many points more often the local identity is named right than the global one."""
    return (accuracy(table, reader, "local") - accuracy(table, reader, "global")).dropna()


def interaction(table: pd.DataFrame) -> pd.Series:
    """By seed, in points: local less global identities, left less right. Above 0 left is for the small forms."""
    return (locality(table, "left") - locality(table, "right")).dropna()


def draw(table: pd.DataFrame) -> Figure:
    """Accuracy of each identity and what the other one costs it: a point a seed, the mean and its 95 % interval."""
    readers = list(table[["reader", "silenced"]].drop_duplicates().itertuples(index=False, name=None))
    figure, axes = panels(2, height=0.9 + 0.3 * len(readers))
    for panel, measure in zip(axes, (accuracy, interference)):
        for place, (reader, silenced) in enumerate(readers):
            for shift, (identity, (colour, marker)) in zip((-0.15, 0.15), _LOOKS.items()):
                found = measure(table, reader, identity, silenced).tolist()
                seed_points(panel, place + shift, found, colour, marker)
        panel.set(title=measure.__name__, ylim=(len(readers) - 0.5, -0.5))
        panel.set_yticks(range(len(readers)), [_name(*each) for each in readers])
    axes[0].axvline(CHANCE_PCT, color=INK, linewidth=0.6, linestyle=":")
    axes[1].axvline(0, color=INK, linewidth=0.6)
    axes[0].set(xlabel="images named right, % (dotted: chance)", xlim=(0, 101))
    axes[1].set_xlabel("congruent less incongruent figures, points")
    for identity, (colour, marker) in _LOOKS.items():
        axes[0].plot([], [], marker, color=colour, label=f"{identity} identity")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _name(reader: str, silenced: str) -> str:
    if reader in SIDES:
        return f"readout of {reader}"
    return f"{reader} head" + ("" if silenced == "none" else f", without {silenced}")


def tell(table: pd.DataFrame) -> str:
    """Say what each side knows, whether the sides differ in that, and what one identity costs the other."""
    means = [
        f"from {side} {accuracy(table, side, 'global').mean():.1f} % of the large forms and "
        f"{accuracy(table, side, 'local').mean():.1f} % of the small ones"
        for side in SIDES
    ]
    texts = [
        f"Classifiers trained on one side alone name {'; '.join(means)} (chance: {CHANCE_PCT:.1f} %)",
        f"How much more left than right is for the small forms (0: the same) is {told(interaction(table))} points",
    ]
    for reader in [reader for reader in table["reader"].unique() if reader not in SIDES]:
        costs = [
            f"the {other} identity costs the {identity} decision {told(interference(table, reader, identity))}"
            for identity, other in (("global", "local"), ("local", "global"))
            if len(accuracy(table, reader, identity))
        ]
        texts.append(f"In the {reader} head {' and '.join(costs)} points")
    return f"{'. '.join(texts)}."
