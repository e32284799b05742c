"""python -m benchmarks.own_images [DIR]: own images learned in several ways: how many are right, and after how long.

Sets: scikit-learn's digits; Fashion-MNIST's test images as composed photos of 200 pixels, 50 and 500 a label; the same,
62 a label but 15 of one (--rare), each label in its turn; and the photos in DIR, a folder for each label. The small
ones and DIR are learned in five folds: each photo is a test image once. Ways: the export's own choice, the pretrained
network with its last blocks fine-tuned (--fine-tune) and at 128 pixels (--side), the compact network in under a minute
(--minutes) and in full (--backbone none), and a newcomer's loop: a small convolutional network, Adam, batches from a
DataLoader.

Columns: accuracy; macro, the mean of the labels' own accuracies; least, the lowest of these; seconds, for reading and
learning, without the measurements and the export that follow.

Ultralytics is not measured: its classifiers are trained through torchvision, whose wheel on PyPI (0.28.0) cannot be
imported beside PyTorch's CPU build.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.photos import FOREIGN
from training.datasets.builtin import FASHION_MNIST
from training.datasets.composed import garment_photos
from training.datasets.formats import DataError
from training.datasets.image_folder import ImageFolder, OwnImages
from training.datasets.pixels import to_images, to_pixels
from training.own_recipe import PHOTO_SIDE, own_recipe
from training.pipeline import train
from training.train.allocator import keep_memory
from training.train.trainer import RunContext

FOLDS = 5
PHOTO_PIXELS = 200
SMALL_SIDE = 128
FEW, MANY = 50, 500  # photos a label
RARE, OTHERS = 15, 62  # photos of the rare label, and of each other one
MINUTES = 0.85  # somewhat less than the newcomer's loop takes for the digits
NEWCOMER_EPOCHS, NEWCOMER_SIDE, NEWCOMER_BATCH = 20, 64, 32

Answers = tuple[Tensor, Tensor]  # predicted and true labels of the test images
Learn = Callable[[ImageFolder], Answers]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each set and way."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.own_images", description="Learn own images in several ways."
    )
    parser.add_argument("photos", nargs="?", type=Path, metavar="DIR", help="photos, in a folder for each label")
    parser.add_argument("--data-dir", type=Path, help="where to look for Fashion-MNIST first")
    parser.add_argument("--many", action="store_true", help="also 500 photos a label, which takes an hour")
    parser.add_argument("--rare", action="store_true", help="also with one rare label, which takes 10 minutes")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="default: all")
    parser.add_argument("--without-digits", action="store_true", help="leave out the set that takes longest")
    options = parser.parse_args(arguments)
    if options.photos and not (options.photos.is_dir() and _labels(options.photos)):
        parser.error(f"{options.photos}: no folders of photos in it; make one for each label")
    try:
        _compare(options)
    except DataError as error:
        parser.exit(1, f"benchmarks.own_images: {error}\n")


def _compare(options: argparse.Namespace) -> None:
    """Print the table. Raises DataError where a set is not there, or nothing can be learned from it."""
    keep_memory()
    table = Table("Images", "Way", "accuracy", "macro", "least", "seconds", box=None)
    with tempfile.TemporaryDirectory() as folder:
        for name, folds in _sets(Path(folder), options):
            for way in options.ways:
                start = time.perf_counter()
                answers = [WAYS[way](ImageFolder.open(fold, "own")) for fold in folds]
                seconds = (time.perf_counter() - start) / len(folds)
                predicted, labels = (torch.cat(each) for each in zip(*answers, strict=True))
                right = (predicted == labels).float()
                own = [float(right[labels == label].mean()) for label in labels.unique()]
                figures = float(right.mean()), sum(own) / len(own), min(own)
                table.add_row(name, way, *(f"{figure:.3f}" for figure in figures), f"{seconds:.1f}")
    Console().print(table)


def _default(folder: ImageFolder, minutes: float | None = None) -> Answers:
    return _trained(folder, pretrained=folder.typical_side >= PHOTO_SIDE, minutes=minutes)


def _small(folder: ImageFolder) -> Answers:
    return _trained(replace(folder, side=SMALL_SIDE, typical_side=SMALL_SIDE), pretrained=True)


def _trained(folder: ImageFolder, pretrained: bool, fine_tuned: bool = False, minutes: float | None = None) -> Answers:
    recipe = replace(own_recipe(folder, pretrained, fine_tuned), minutes=None if pretrained else minutes)
    data = recipe.source.load()
    with tempfile.TemporaryDirectory() as models:
        trained = train(recipe, data, RunContext(), Path(models), Console(quiet=True))
    return trained.forward_features(data.test.pixels).logits.argmax(1), data.test.labels


def _newcomer(folder: ImageFolder) -> Answers:
    """Learn as a first tutorial does."""
    data: OwnImages = replace(folder, side=NEWCOMER_SIDE).load()
    torch.manual_seed(0)
    width = (NEWCOMER_SIDE // 4) ** 2 * 64
    network = nn.Sequential(
        nn.Conv2d(folder.channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, len(folder.labels)),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters())
    batches = DataLoader(TensorDataset(to_images(data.train.pixels), data.train.labels), NEWCOMER_BATCH, shuffle=True)
    for _ in range(NEWCOMER_EPOCHS):
        for images, labels in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
    with torch.inference_mode():
        return network(to_images(data.test.pixels)).argmax(1), data.test.labels


WAYS: dict[str, Learn] = {
    "thimble": _default,
    "fine-tuned": partial(_trained, pretrained=True, fine_tuned=True),
    "small": _small,
    "minute": partial(_default, minutes=MINUTES),
    "compact": partial(_trained, pretrained=False),
    "newcomer": _newcomer,
}


def _sets(folder: Path, options: argparse.Namespace) -> Iterator[tuple[str, list[Path]]]:
    """Yield the name of each set, and the folders of its folds."""
    if not options.without_digits:
        yield "digits", [_digits(folder / "digits")]
    labels = FASHION_MNIST.labels
    sets = {f"{FEW} a label": dict.fromkeys(labels, FEW)}
    if options.rare:
        sets |= {f"{OTHERS} a label, {RARE} of {rare}": dict.fromkeys(labels, OTHERS) | {rare: RARE} for rare in labels}
    for number, (name, counts) in enumerate(sets.items()):
        photos = _fashion_photos(folder / f"composed{number}", counts, options.data_dir)
        yield f"composed photos, {name}", _folds(photos, folder / f"composed{number}folds")
    if options.many:
        counts = dict.fromkeys(labels, MANY)
        yield f"composed photos, {MANY} a label", [_fashion_photos(folder / "many", counts, options.data_dir)]
    if options.photos:
        yield str(options.photos), _folds(options.photos, folder / "folds")


def _digits(folder: Path) -> Path:
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        _save(Image.fromarray((image * 255 / 16).astype("uint8")).resize((32, 32)), folder, str(label), f"{number}.png")
    return folder


def _fashion_photos(folder: Path, counts: Mapping[str, int], data_dir: Path | None) -> Path:
    """Write as many photos as each label is to have."""
    test = FASHION_MNIST.load(data_dir).test
    generator = torch.Generator().manual_seed(0)
    for index, label in enumerate(FASHION_MNIST.labels):
        some = to_images(test.pixels[test.labels == index][: counts[label]])
        photos = to_pixels(garment_photos(some, generator, PHOTO_PIXELS, tidy=True)).numpy()
        for number, photo in enumerate(photos):
            _save(Image.fromarray(photo), folder, label.replace("/", " "), f"{number}.jpg")
    return folder


def _save(image: Image.Image, folder: Path, label: str, name: str) -> None:
    (folder / label).mkdir(parents=True, exist_ok=True)
    image.save(folder / label / name)


def _labels(photos: Path) -> list[Path]:
    """Return the folders of labels."""
    return sorted(path for path in photos.iterdir() if path.is_dir() and not path.name.startswith((FOREIGN, ".")))


def _folds(photos: Path, folder: Path) -> list[Path]:
    """Lay out folds of links: every fifth photo of each label is a test image, the others are training images."""
    folds = [folder / str(number) for number in range(FOLDS)]
    for label in _labels(photos):
        for place, photo in enumerate(sorted(label.iterdir())):
            for number, fold in enumerate(folds):
                target = fold / ("test" if place % FOLDS == number else "train") / label.name
                target.mkdir(parents=True, exist_ok=True)
                (target / photo.name).symlink_to(photo.resolve())
    return folds


if __name__ == "__main__":
    main()
