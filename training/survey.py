"""A survey of own images, before anything is learned from them: what was found, and what is wrong with it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.command import full_disk_told
from training.datasets.duplicates import near_duplicates
from training.datasets.image_file import printable
from training.datasets.image_folder import ImageFolder, OwnImages
from training.datasets.labelled import LabelledImages, truth_of
from training.datasets.left_out import MAX_LISTED, shortened
from training.datasets.split_names import TEST, TRAIN, VALIDATION
from training.progress import say
from training.thumbnails import draw_thumbnails

IMBALANCE = 3  # times as many images of one label as of another are worth a word


class Surveyed(NamedTuple):
    """An image of the survey. label: in words; several are joined."""

    path: Path
    label: str
    split: str


Pair = tuple[Surveyed, Surveyed]


@dataclass(frozen=True)
class Survey:
    """Own images as they were read: what the folder holds, and what should be mended before a training."""

    folder: ImageFolder
    data: OwnImages

    @cached_property
    def splits(self) -> dict[str, LabelledImages]:
        """The images of each split that there is."""
        splits = {TRAIN: self.data.train, VALIDATION: self.data.validation, TEST: self.data.test}
        return {name: images for name, images in splits.items() if images}

    @cached_property
    def all(self) -> LabelledImages:
        """The images of all splits, in their order."""
        parts = self.splits.values()
        return LabelledImages(torch.cat([p.pixels for p in parts]), torch.cat([p.labels for p in parts]))

    @cached_property
    def images(self) -> list[Surveyed]:
        """The file, label and split of all these."""
        splits = list(chain.from_iterable([name] * len(images) for name, images in self.splits.items()))
        files = chain.from_iterable(self.data.files[name] for name in self.splits)
        truth = truth_of(self.all.labels, len(self.folder.labels))
        labels = (self.named(row.nonzero()[:, 0].tolist()) for row in truth)
        named = zip(files, labels, splits, strict=True)
        return [Surveyed(file.path, label, split) for file, label, split in named]

    def named(self, labels: Iterable[int]) -> str:
        """Return labels in words, joined where they are several."""
        return ";".join(self.folder.labels[label] for label in labels) or "no label"

    def table(self) -> Table:
        """Return the number of images of each label, in each split."""
        counts = {name: self._counts(images) for name, images in self.splits.items()}
        table = Table("Label", *counts, "all")
        for column in table.columns[1:]:
            column.justify = "right"
        for index, label in enumerate(self.folder.labels):
            found = [split[index] for split in counts.values()]
            table.add_row(escape(label), *(f"{count:,}" for count in (*found, sum(found))))
        if self.folder.multi_label:
            found = [int((~images.labels.any(1)).sum()) for images in self.splits.values()]
            table.add_row("none of them", *(f"{count:,}" for count in (*found, sum(found))), style="dim")
        return table

    def sizes(self) -> str:
        """Return the sizes of the images, and that of the input."""
        sizes = [file.size for name in self.splits for file in self.data.files[name]]
        (least, most), side = (f(sizes, key=lambda size: size[0] * size[1]) for f in (min, max)), self.folder.side
        colour = "grey" if self.folder.channels == 1 else "colour"
        span = " to ".join(dict.fromkeys(f"{width:,} x {height:,}" for width, height in (least, most)))
        return f"{len(sizes):,} images of {span} pixels; the input has {side} x {side} pixels in {colour}"

    @property
    def left_out(self) -> tuple[str, ...]:
        """The messages for what was found and is not learned."""
        return (*self.folder.left_out, *self.data.skipped)

    def findings(self) -> Iterator[str]:
        """Yield messages for all that is wrong with the other images, or that should be known."""
        yield from self._imbalance()
        yield from self._unmeasured()
        yield from self._near_duplicates()

    def _imbalance(self) -> Iterator[str]:
        counts = Counter(dict(enumerate(self._counts(self.data.train))))
        (most, many), (least, few) = counts.most_common(1)[0], (+counts).most_common()[-1]
        if many >= IMBALANCE * few:
            labels = self.folder.labels
            yield (
                f"Imbalance: {few:,} training images of {labels[least]!r}, {many:,} of {labels[most]!r}; add images of "
                f"{labels[least]!r}"
            )

    def _unmeasured(self) -> Iterator[str]:
        """Yield labels of which nothing can be learned or measured."""
        train = self.data.train
        if always := [
            label for label, n in zip(self.folder.labels, self._counts(train), strict=True) if n == len(train)
        ]:
            yield (
                f"Not learned: {shortened(always)}: every training image has this label, so the model will give it to "
                "every image; add images without it"
            )
        counts = self._counts(self.data.test)
        if missing := [label for label, count in zip(self.folder.labels, counts, strict=True) if not count]:
            advice = "raise --limit" if self.data.limit else "add some"
            yield f"Not measured: {shortened(missing)}: none of the test images has this label; {advice}"

    def _counts(self, images: LabelledImages) -> list[int]:
        """Return how many images have each label."""
        counts: list[int] = truth_of(images.labels, len(self.folder.labels)).sum(0).tolist()
        return counts

    def _near_duplicates(self) -> Iterator[str]:
        """Yield the near duplicates, first those that contradict each other or make the model look better."""
        labels, splits = (np.array([getattr(image, name) for image in self.images]) for name in ("label", "split"))
        counts, shown = [0] * 3, [list[Pair]() for _ in range(3)]
        for pairs in near_duplicates(self.all.pixels):
            one, other = pairs.T
            across, leaking = labels[one] != labels[other], splits[one] != splits[other]
            for kind, chosen in enumerate((across, leaking & ~across, ~leaking & ~across)):
                counts[kind] += int(chosen.sum())
                first = pairs[chosen][: MAX_LISTED - len(shown[kind])].tolist()
                shown[kind] += [(self.images[one], self.images[other]) for one, other in first]
        which = (
            "with different labels: one of them is wrong, or the labels overlap",
            "in two splits: the model will look better than it is; remove one of each",
            "in one split",
        )
        yield from chain.from_iterable(map(_listed, shown, counts, which))


def print_survey(survey: Survey, console: Console, sheet: Path) -> None:
    """Print what was found and what is wrong; draw the thumbnails into a PNG.

    Where much was left out, all of it is listed in a file beside the thumbnails.
    """
    folder = survey.folder
    limited = f"; of each split the first {survey.data.limit:,} images, as --limit says" if survey.data.limit else ""
    say(console, f"{printable(folder.path)}: {folder.layout}{limited}")
    console.print(survey.table())
    say(console, survey.sizes())
    with full_disk_told(sheet, "make room, and run the same command again"):
        left_out = list(_left_out(survey.left_out, sheet))
        draw_thumbnails(survey.all, folder.labels, sheet)
    for finding in chain(left_out, survey.findings()):
        say(console, finding, "yellow")
    say(console, f"Thumbnails of each label: {printable(sheet)}")


def _left_out(messages: Sequence[str], sheet: Path) -> Iterator[str]:
    """Yield a line for each of the first messages; write all into a file beside the thumbnails where there are more."""
    yield from (f"Left out: {message}" for message in messages[:MAX_LISTED])
    if len(messages) > MAX_LISTED:
        listed = sheet.with_name(f"{sheet.stem}-left-out.txt")
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text("".join(f"{message}\n" for message in messages), encoding="utf-8")
        yield f"Left out: {len(messages) - MAX_LISTED:,} more; all {len(messages):,} are in {printable(listed)}"


def _listed(shown: list[Pair], count: int, which: str) -> Iterator[str]:
    """Yield a line for so many pairs, and one for each that is shown."""
    if count:
        yield f"Near duplicates {which} ({count:,}):"
    for one, other in shown:
        yield f"  {_named(one)} and {_named(other)}"
    if count > len(shown):
        yield f"  and {count - len(shown):,} more"


def _named(image: Surveyed) -> str:
    return f"{printable(image.path)} ({image.label}, {image.split})"
