"""The splits of own images: those that folders or a table name, and the test images among the others."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from training.datasets.folder_layout import LabelledFile
from training.datasets.split_names import TEST, TRAIN, VALIDATION

TEST_FRACTION = 5  # one image of a label in so many is a test image
KEPT_FIRST = (TEST, VALIDATION, "", TRAIN)  # of copies in several splits, the one that measures stays


def in_split_order(files: Iterable[LabelledFile], named: Callable[[Path], Path]) -> list[LabelledFile]:
    """Return files split by split, each in a pseudo-random but fixed order, in which a new image moves few others.

    named: gives the path that decides the place of a file.
    """
    return sorted(
        files, key=lambda file: (KEPT_FIRST.index(file.split), hashlib.sha256(bytes(named(file.path))).digest())
    )


def split_of_each(files: Sequence[LabelledFile]) -> list[str]:
    """Return the split of each file: that of the layout, or test for the first fifth of each label's others.

    Of several labels the rarest counts, so that no label's fifth is left to chance. With a folder of test images, all
    others are training images.
    """
    splits = [file.split or TRAIN for file in files]
    if TEST in splits:
        return splits
    found = Counter(label for file in files for label in file.labels)
    rarest = [min(file.labels, key=lambda label: (found[label], label), default=None) for file in files]
    counts = Counter(label for label, split in zip(rarest, splits, strict=True) if split == TRAIN)
    wanted = {label: count // TEST_FRACTION for label, count in counts.items()}
    for place, label in enumerate(rarest):
        if splits[place] == TRAIN and wanted[label]:
            splits[place] = TEST
            wanted[label] -= 1
    return splits


def first_of_each_split(files: Sequence[LabelledFile], limit: int) -> list[LabelledFile]:
    """Return the first files of each split, so many at most; each has its split noted in it."""
    taken: Counter[str] = Counter()
    first = []
    for file, split in zip(files, split_of_each(files), strict=True):
        taken[split] += 1
        if taken[split] <= limit:
            first.append(file._replace(split=split))
    return first
