"""Labels by name: which number each class's name gets, and which coarse label above it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...base.errors import DataError
from ..hierarchy import LabelHierarchy
from .class_folders import ClassFolders, ClassKey, in_label_order, is_label_id


@dataclass(frozen=True)
class FolderLabels:
    """A label hierarchy and the fine label of each class folder of the training split."""

    hierarchy: LabelHierarchy
    fine_of: dict[ClassKey, int]

    def label(self, tree: ClassFolders, key: ClassKey) -> int:
        """Give the fine label of a class folder of any split. Raises DataError if training has no such class."""
        if key not in self.fine_of:
            raise DataError(f"{tree.top.joinpath(*key)}: the training images have no class folder of this name")
        return self.fine_of[key]


def nested_labels(classes: Iterable[ClassKey]) -> FolderLabels:
    """Number the classes (coarse, fine) by their coarse, then their fine names.

    A fine name that stands under two coarse ones makes two classes, named "coarse/fine".
    """
    members: dict[str, set[str]] = {}
    for coarse, fine in classes:
        members.setdefault(coarse, set()).add(fine)
    coarse_names = in_label_order(set(members))
    keys = [(coarse, fine) for coarse in coarse_names for fine in in_label_order(members[coarse])]
    uses = Counter(fine for _, fine in keys)
    hierarchy = LabelHierarchy(
        fine_names=tuple(fine if uses[fine] == 1 else f"{coarse}/{fine}" for coarse, fine in keys),
        coarse_names=tuple(coarse_names),
        coarse_of_fine=tuple(label for label, coarse in enumerate(coarse_names) for _ in members[coarse]),
    )
    return FolderLabels(hierarchy, {key: label for label, key in enumerate(keys)})


def documented_labels(
    tree: ClassFolders, known: LabelHierarchy | None, coarse_of: dict[str, str] | None
) -> FolderLabels:
    """Number the fine folders of the documented and the flat layout.

    Where the hierarchy is `known`, folders are named by its label ids or names; else it follows from `coarse_of`,
    the coarse folder of each fine one, and labels are named as their folders.

    Raises DataError for a folder that is unknown in the hierarchy, two folders of one label, or if neither the
    hierarchy nor coarse folders are there.
    """
    folders = in_label_order({fine for (fine,) in tree.files})
    if known is not None:
        ids = label_ids(known.fine_names)
        labels = [find_label(fine, ids, f"{tree.top}/{fine}") for fine in folders]
        for label, uses in Counter(labels).items():
            if uses > 1:
                raise DataError(f"{tree.top}: two folders are both of label {known.fine_names[label]!r}")
        hierarchy = known
    elif coarse_of is not None:
        labels = list(range(len(folders)))
        coarse_names = in_label_order(set(coarse_of.values()))
        ids = label_ids(coarse_names)
        hierarchy = LabelHierarchy(
            fine_names=tuple(folders),
            coarse_names=tuple(coarse_names),
            coarse_of_fine=tuple(ids[coarse_of[fine]] for fine in folders),
        )
    else:
        raise DataError(
            f"{tree.place}: nothing tells which coarse label a fine one belongs to; give the folder coarse/ beside "
            "fine/, or lines such as `animal: [cat, dog]` in hierarchy.yaml beside the folders of the splits, or in "
            "the file that data.options.hierarchy names, or CIFAR-100's raw files by data.raw_data_dir"
        )
    return FolderLabels(hierarchy, {(fine,): label for fine, label in zip(folders, labels)})


def check_coarse_folders(tree: ClassFolders, labels: FolderLabels, coarse_of: dict[str, str]) -> None:
    """Raise DataError if the coarse folder of any fine one is not the one that the hierarchy says."""
    names = labels.hierarchy.coarse_names
    ids = label_ids(names)
    for fine, coarse in coarse_of.items():
        expected = labels.hierarchy.coarse_of_fine[labels.label(tree, (fine,))]
        if find_label(coarse, ids, f"{tree.place}/coarse/{coarse}") != expected:
            raise DataError(
                f"{tree.place}: the images of fine/{fine} lie in coarse/{coarse}, but the hierarchy puts them "
                f"under {names[expected]!r}"
            )


def label_ids(names: Sequence[str]) -> dict[str, int]:
    """Number names in their order."""
    return {name: label for label, name in enumerate(names)}


def find_label(name: str, ids: Mapping[str, int], what: str) -> int:
    """Give the label of a name, or of a label id. what: named so, for the DataError where there is none."""
    if name in ids:
        return ids[name]
    if is_label_id(name) and int(name) < len(ids):
        return int(name)
    raise DataError(
        f"{what}: no label of the hierarchy has this name, or this id (0 to {len(ids) - 1}); "
        "add it to the hierarchy, or leave its images out"
    )
