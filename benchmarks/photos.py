"""python -m benchmarks.photos DIR: how real photos are answered, by the very code that serves uploads.

DIR has garments/LABEL/ and things/LABEL/ (either may be missing): photos of garments and of CIFAR-10's classes, in a
folder for each label. A folder that is not named like a label is read as ALIASES says; those that begin with "foreign"
hold none of the labels. The photos are only measured on: nothing is trained on them.

Columns: right: the share of photos given an accepted label. flagged: called novel. set: of those not flagged, the share
whose label set holds an accepted label. sure and wrong: not flagged, wrong, with a probability above 0.9. routed: the
share that reaches a model of its domain when none is named, in colour and in grey.
"""

import argparse
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from rich.console import Console
from rich.table import Table

from serving.concurrency import SerialExecutor
from serving.errors import Refusal
from serving.imaging.decoding import PixelBudget, configure_pillow, decode, read_header
from serving.imaging.preprocessing import preprocess
from serving.inference.options import PredictOptions
from serving.inference.predictor import Predictor
from serving.model.classifier import Classifier
from serving.prediction import Prediction
from serving.repository.repository import Repository
from training.datasets.formats import DataError

MAX_PIXELS = 50_000_000
TIMEOUT = 60.0
BATCH = 16  # photos of a request
FOREIGN = "foreign"
SURE = 0.9
# The labels that are right for a folder of photos whose name is not a label.
ALIASES = {
    "T-shirt": {"T-shirt/top"},
    "long-sleeve": {"Pullover", "Shirt", "T-shirt/top"},
    "shoe": {"Sneaker", "Ankle boot", "Sandal"},
}
APART = "shoe"  # pairs from above, which Fashion-MNIST never shows: left out of "garments without shoes"
DOMAINS = {"garments": "Fashion-MNIST", "things": "CIFAR-10"}  # the data set of each
TILE = 112  # pixels of the sheet


@dataclass(frozen=True)
class Photo:
    """A photo of a folder: its bytes, the folder's name, and the labels that are right for it (none if foreign)."""

    path: Path
    folder: str
    right: frozenset[str]

    def read(self, grey: bool = False) -> bytes:
        """Return the file, or a JPEG of it in grey."""
        content = self.path.read_bytes()
        if not grey:
            return content
        file = io.BytesIO()
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
        upright.convert("L").save(file, "JPEG", quality=95)
        return file.getvalue()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the photos of a folder and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photos", description="Measure models on real photos.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="has garments/LABEL/ and things/LABEL/")
    parser.add_argument("--models-dir", type=Path, default=Path("models"), help="default: models")
    parser.add_argument("--garments", default="fashion-net", metavar="MODEL", help="NAME or NAME:VERSION")
    parser.add_argument("--things", default="cifar-net", metavar="MODEL", help="NAME or NAME:VERSION")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="write the photos with the inputs made of them")
    options = parser.parse_args(arguments)
    photos = {domain: list(find_photos(options.folder / domain)) for domain in DOMAINS}
    if not any(photos.values()):
        parser.error(f"{options.folder}: no photos there; put them into {' and '.join(f'{d}/LABEL/' for d in DOMAINS)}")
    try:
        _measure(photos, options)
    except (Refusal, DataError) as error:
        parser.exit(1, f"benchmarks.photos: {error}\n")


def _measure(photos: Mapping[str, Sequence[Photo]], options: argparse.Namespace) -> None:
    """Print the table of the photos of each domain. Raises Refusal and DataError."""
    repository, predictor = open_models(options.models_dir)
    models = {"garments": options.garments, "things": options.things}
    table = _table()
    for domain, some in photos.items():
        if not some:
            continue
        name, _, version = models[domain].partition(":")
        _refuse_unknown_labels(some, domain, repository.named(name, version))
        predictions = ask(predictor, (photo.read() for photo in some), models[domain])
        _add_rows(table, models[domain], domain, some, predictions)
        table.add_row(models[domain], f"{domain}, routed", *_routed(repository, predictor, some, DOMAINS[domain]))
        table.add_section()
        if options.sheet:
            sheet = options.sheet.with_stem(f"{options.sheet.stem}-{domain}")
            draw_sheet(repository, some, predictions, models[domain], sheet)
    Console(width=130).print(table)


def find_photos(folder: Path) -> Iterator[Photo]:
    """Yield the photos of a domain's folder, folder by folder."""
    for path in sorted(folder.glob("*/*")):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".heic"):
            name = path.parent.name
            right = set() if name.startswith(FOREIGN) else ALIASES.get(name, {name})
            yield Photo(path, name, frozenset(right))


def open_models(folder: Path) -> tuple[Repository, Predictor]:
    """Return the models of a folder, and what asks them as the service does, but on all cores."""
    configure_pillow()
    repository = Repository(folder, os.cpu_count() or 1)
    return repository, Predictor(repository, MAX_PIXELS, SerialExecutor(TIMEOUT))


def ask(predictor: Predictor, uploads: Iterable[bytes], model: str = "") -> list[Prediction]:
    """Return the predictions, in order; model: empty leaves the choice to the service. Raises Refusal."""
    name, _, version = model.partition(":")
    found: list[Prediction] = []
    left = iter(uploads)
    while batch := list(islice(left, BATCH)):
        for item in predictor.predict(batch, PredictOptions(name or None, version)).items:
            if isinstance(item, Refusal):
                raise item
            found.append(item)
    return found


def share_routed(repository: Repository, predictor: Predictor, dataset: str, uploads: Iterable[bytes]) -> float:
    """Return the share of uploads that a model of this data set answers when none is named. Raises Refusal."""
    own = [repository.named(one.model).card.dataset == dataset for one in ask(predictor, uploads)]
    return float(np.mean(own))


def _refuse_unknown_labels(photos: Sequence[Photo], domain: str, classifier: Classifier) -> None:
    """Raise DataError where a folder is not named like a label of the model: its photos would all count as wrong."""
    labels, name = {*classifier.card.labels}, classifier.card.name
    if unknown := sorted({photo.folder for photo in photos if photo.right and not photo.right & labels}):
        raise DataError(
            f"{domain}/{unknown[0]}: {name} has no such label, only {', '.join(classifier.card.labels)}; name the "
            f"folder like one of them, or begin its name with {FOREIGN!r}"
        )


def _table() -> Table:
    table = Table("Model", "Photos", box=None)
    for head in ("n", "right", "flagged", "set", "sure and wrong", "most given label"):
        table.add_column(head, justify="right")
    return table


def _add_rows(
    table: Table, model: str, domain: str, photos: Sequence[Photo], predictions: Sequence[Prediction]
) -> None:
    pairs = list(zip(photos, predictions, strict=True))
    known = [pair for pair in pairs if pair[0].right]
    apart = [pair for pair in known if pair[0].folder != APART]
    if len(apart) < len(known):
        table.add_row(model, f"{domain} without {APART}s", *_figures(apart))
    table.add_row(model, domain, *_figures(known))
    table.add_row(model, f"{domain}: foreign", *_figures([pair for pair in pairs if not pair[0].right]))
    by_folder: dict[str, list[tuple[Photo, Prediction]]] = defaultdict(list)
    for pair in known:
        by_folder[pair[0].folder].append(pair)
    for folder, some in by_folder.items():
        table.add_row("", folder, *_figures(some))


def _figures(pairs: Sequence[tuple[Photo, Prediction]]) -> list[str]:
    """Return the cells of a row."""
    if not pairs:
        return ["0"]
    right = [prediction.label in photo.right for photo, prediction in pairs]
    flagged = [prediction.novel is True for _, prediction in pairs]
    held = [bool(photo.right & set(prediction.set)) for photo, prediction in pairs]
    trusted = [holds for holds, novel in zip(held, flagged, strict=True) if not novel]
    sure_and_wrong = [
        not (good or novel) and prediction.probability > SURE
        for good, novel, (_, prediction) in zip(right, flagged, pairs, strict=True)
    ]
    labels = [prediction.label for _, prediction in pairs]
    most = max(set(labels), key=labels.count)
    share = f"{most} {labels.count(most) / len(labels):.2f}"
    means = (sum(values) / max(len(values), 1) for values in (right, flagged, trusted, sure_and_wrong))
    cells = [f"{mean:.3f}" for mean in means]
    if not pairs[0][0].right:
        cells[0] = cells[2] = cells[3] = ""
    return [str(len(pairs)), *cells, share]


def _routed(repository: Repository, predictor: Predictor, photos: Sequence[Photo], dataset: str) -> list[str]:
    """Return the cells of a row: the shares that reach a model of their data set, in colour and in grey."""
    known = [photo for photo in photos if photo.right]
    colour, grey = (
        share_routed(repository, predictor, dataset, (photo.read(grey) for photo in known)) for grey in (False, True)
    )
    return [str(len(known)), f"colour {colour:.3f}", f"grey {grey:.3f}"]


def draw_sheet(
    repository: Repository, photos: Sequence[Photo], predictions: Sequence[Prediction], model: str, path: Path
) -> None:
    """Write a sheet: each photo, the input made of it below, and the label given, red where it is wrong."""
    name, _, version = model.partition(":")
    classifier = repository.named(name, version)
    columns = 12
    rows = -(-len(photos) // columns)
    sheet = Image.new("RGB", (columns * TILE, rows * (2 * TILE + 14)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (photo, prediction) in enumerate(zip(photos, predictions, strict=True)):
        decoded = decode(read_header(photo.read(), PixelBudget(MAX_PIXELS)))
        seen = Image.fromarray(preprocess(decoded, classifier.card.fit, *classifier.shape).pixels.squeeze())
        thumbnail = decoded.image.copy()
        thumbnail.thumbnail((TILE - 4, TILE - 4))
        left, top = number % columns * TILE, number // columns * (2 * TILE + 14)
        sheet.paste(thumbnail, (left, top))
        sheet.paste(seen.resize((TILE - 4, TILE - 4), Image.Resampling.NEAREST), (left, top + TILE))
        colour = "green" if prediction.label in photo.right else "red"
        draw.text((left, top + 2 * TILE), f"{photo.folder[:8]}: {prediction.label}"[:20], fill=colour)
    sheet.save(path)


if __name__ == "__main__":
    main()
