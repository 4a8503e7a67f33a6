"""The tests that pages in docs/studies declare, from the tables in results/.

python scripts/asymmetry_tests.py results/asymmetries/twice       # single_asymmetries, callosum_sign, callosum_and_gate
python scripts/asymmetry_tests.py results/asymmetries             # the same, of networks trained half as long
python scripts/asymmetry_tests.py results/cifar100_asymmetries    # cifar100
"""

import sys
from pathlib import Path

import pandas as pd
from scipy.stats import spearmanr

from bilateral.base.statistics import holm, paired_difference, summarise

HERE = Path(sys.argv[1])
TABLE = pd.read_csv(HERE / "asymmetries.csv")
ALIKE = "nonspecialised"
ASYMMETRIES = (
    *("own_labels", "plasticity", "width", "field", "frequencies"),
    *("sparsity", "noise", "connectivity", "maturation"),
)


def by_seed(row: str, measure: str) -> pd.Series:
    """A measure of a row, by seed."""
    chosen = (TABLE["row"] == row) & (TABLE["measure"] == measure)
    return TABLE[chosen].set_index("seed")["value"].sort_index()


def strength(row: str) -> pd.Series:
    """The absolute interaction, in points, by seed."""
    return by_seed(row, "interaction").abs()


def laterality(row: str) -> pd.Series:
    """(L - R) / (L + R) of what the fine head loses when left (L) or right (R) is silenced, by seed."""
    lesions = pd.read_csv(HERE / row / "lesions.csv").query("lesion == 'mean' and level == 'fine'")
    lost = lesions.pivot(index="seed", columns="at", values="points_lost").clip(lower=0)
    return (lost["left"] - lost["right"]) / (lost["left"] + lost["right"])


def tell(name: str, values: pd.Series, digits: int = 1) -> None:
    """Print a mean with its sample deviation and interval."""
    found = summarise(values.tolist())
    low, high = found["ci95"] or (float("nan"),) * 2
    mean = f"{found['mean']:+.{digits}f} ± {found['std'] or float('nan'):.{digits}f}"
    print(f"{name:32} n {found['n']}  {mean}  ({low:.{digits}f} to {high:.{digits}f})")


def compare(family: dict[str, tuple[pd.Series, pd.Series]], digits: int = 1) -> None:
    """Print paired differences, with p before and after Holm's correction."""
    found = [paired_difference(*(each.tolist() for each in pair)) for pair in family.values()]
    for name, each, corrected in zip(family, found, holm([each.p for each in found])):
        low, high = each.ci95 or (float("nan"),) * 2
        p = "no p" if each.p is None else f"p {each.p:.2g}, Holm {corrected:.2g}"
        print(f"{name:32} n {each.n}  {each.mean:+.{digits}f}  ({low:.{digits}f} to {high:.{digits}f})  {p}")


def on_compound_figures() -> None:
    """The tests of single_asymmetries, callosum_sign and callosum_and_gate."""
    print("Interaction, points, and fine accuracy, %")
    for row in TABLE["row"].unique():
        tell(row, by_seed(row, "interaction"))
        tell("  whichever way", strength(row))
        tell("  fine accuracy", by_seed(row, "fine_pct"), 2)

    print("\nsingle_asymmetries 1: strength less that of two alike")
    compare({row: (strength(row), strength(ALIKE)) for row in ASYMMETRIES})

    print("\nsingle_asymmetries 2: strength and accuracy over rows")
    rows = [ALIKE, *ASYMMETRIES]
    found = spearmanr([strength(row).mean() for row in rows], [by_seed(row, "fine_pct").mean() for row in rows])
    print(f"Spearman {found.statistic:+.2f}, p {found.pvalue:.2g}, {len(rows)} rows")

    print("\ncallosum_sign: inhibitory less excitatory")
    compare(
        {
            "1 alike, strength": (strength("inhibitory"), strength("excitatory")),
            "2 slow left, laterality": (laterality("slow_inhibitory"), laterality("slow_excitatory")),
        },
        2,
    )
    for row in ("excitatory", "inhibitory", "slow_excitatory", "slow_inhibitory", "plasticity", ALIKE):
        tell(f"laterality, {row}", laterality(row), 2)

    print("\ncallosum_and_gate: fine accuracy less that of the specialised network, points")
    compare(
        {
            row: (by_seed(row, "fine_pct"), by_seed("specialised", "fine_pct"))
            for row in ("specialised_callosum", "specialised_gate")
        },
        2,
    )


def on_cifar100() -> None:
    """The tests of cifar100, one family."""
    for row in TABLE["row"].unique():
        tell(row, by_seed(row, "specialisation"), 3)
        for measure in ("fine_pct", "coarse_pct"):
            tell(f"  {measure}", by_seed(row, measure), 2)
    print("\ncifar100: specialisation, whichever way; fine accuracy, points")
    compare(
        {
            f"1 frequencies, less {ALIKE}": tuple(
                by_seed(row, "specialisation").abs() for row in ("frequencies", ALIKE)
            ),
            f"2 excitatory, less {ALIKE}": tuple(by_seed(row, "fine_pct") for row in ("excitatory", ALIKE)),
            "2 callosum, less specialised": tuple(
                by_seed(row, "fine_pct") for row in ("specialised_callosum", "specialised")
            ),
        },
        3,
    )


if HERE.name == "cifar100_asymmetries":
    on_cifar100()
else:
    on_compound_figures()
