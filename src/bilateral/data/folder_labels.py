"""Labels for folders of classes: which number and name each folder gets, and which coarse label above it."""

from collections import Counter
from dataclasses import dataclass

from ..base.errors import DataError
from .class_folders import ClassFolders, ClassKey, in_label_order, is_label_id
from .hierarchy import LabelHierarchy


@dataclass(frozen=True)
class FolderLabels:
    """A label hierarchy and the fine label of each class folder of the training split."""

    hierarchy: LabelHierarchy
    fine_of: dict[ClassKey, int]

    def label(self, tree: ClassFolders, key: ClassKey) -> int:
        """Give the fine label of a class folder of any split. Raises DataError if training has no such class."""
        if key not in self.fine_of:
            folder = tree.place.joinpath(*(key if tree.nested else ("fine", *key)))
            raise DataError(f"{folder}: the training images have no class folder of this name")
        return self.fine_of[key]


def nested_labels(tree: ClassFolders) -> FolderLabels:
    """Number the classes of the nested layout by coarse, then fine folder.

    A fine name that stands under two coarse ones makes two classes, named "coarse/fine".
    """
    coarse_names = in_label_order({coarse for coarse, _ in tree.files})
    members = {
        coarse: in_label_order({fine for above, fine in tree.files if above == coarse}) for coarse in coarse_names
    }
    keys = [(coarse, fine) for coarse in coarse_names for fine in members[coarse]]
    uses = Counter(fine for _, fine in keys)
    hierarchy = LabelHierarchy(
        fine_names=tuple(fine if uses[fine] == 1 else f"{coarse}/{fine}" for coarse, fine in keys),
        coarse_names=tuple(coarse_names),
        coarse_of_fine=tuple(coarse_names.index(coarse) for coarse, _ in keys),
    )
    return FolderLabels(hierarchy, {key: label for label, key in enumerate(keys)})


def documented_labels(
    tree: ClassFolders, known: LabelHierarchy | None, coarse_of: dict[str, str] | None
) -> FolderLabels:
    """Number the fine folders of the documented layout.

    Where the hierarchy is `known`, folders are named by its label ids or names; else it follows from `coarse_of`,
    the coarse folder of each fine one, and labels are named as their folders.

    Raises DataError for a folder that is unknown in the hierarchy, two folders of one label, or if neither the
    hierarchy nor coarse folders are there.
    """
    folders = in_label_order({fine for (fine,) in tree.files})
    if known is not None:
        labels = [_find(fine, known.fine_names, f"{tree.place}/fine") for fine in folders]
        for label, uses in Counter(labels).items():
            if uses > 1:
                raise DataError(f"{tree.place}/fine: two folders are both of label {known.fine_names[label]!r}")
        hierarchy = known
    elif coarse_of is not None:
        labels = list(range(len(folders)))
        coarse_names = in_label_order(set(coarse_of.values()))
        hierarchy = LabelHierarchy(
            fine_names=tuple(folders),
            coarse_names=tuple(coarse_names),
            coarse_of_fine=tuple(coarse_names.index(coarse_of[fine]) for fine in folders),
        )
    else:
        raise DataError(
            f"{tree.place}: nothing tells which coarse label a fine one belongs to; give the folder coarse/ "
            f"beside fine/, or {tree.place.parent}/hierarchy.yaml, or CIFAR-100's raw files by data.raw_data_dir"
        )
    return FolderLabels(hierarchy, {(fine,): label for fine, label in zip(folders, labels)})


def check_coarse_folders(tree: ClassFolders, labels: FolderLabels, coarse_of: dict[str, str]) -> None:
    """Raise DataError if the coarse folder of any fine one is not the one that the hierarchy says."""
    names = labels.hierarchy.coarse_names
    for fine, coarse in coarse_of.items():
        expected = labels.hierarchy.coarse_of_fine[labels.label(tree, (fine,))]
        if _find(coarse, names, f"{tree.place}/coarse") != expected:
            raise DataError(
                f"{tree.place}: the images of fine/{fine} lie in coarse/{coarse}, but the hierarchy puts them "
                f"under {names[expected]!r}"
            )


def _find(folder: str, names: tuple[str, ...], where: str) -> int:
    if folder in names:
        return names.index(folder)
    if is_label_id(folder) and int(folder) < len(names):
        return int(folder)
    raise DataError(f"{where}/{folder}: no label of the hierarchy has this name, or this id (0 to {len(names) - 1})")
