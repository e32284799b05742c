"""The README.md of a model folder: the model card for people, with the front matter that model hubs read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from serving.model.card import MODEL_FILE
from training.datasets.domains import SOURCES, Domains
from training.publish.export_command import export_command
from training.publish.label_figures import LabelFigures
from training.publish.model_folder import REPORT_FILE

TEXT = """\
---
license: {hub_licence}
library_name: onnx
pipeline_tag: image-classification
tags: [thimble]
{hub_datasets}model-index:
  - name: {name}
    results:
      - task: {{type: image-classification}}
        dataset: {{type: {dataset}, name: {dataset}, split: test}}
        metrics: [{{type: accuracy, value: {accuracy}}}]
---

# {name}: {title}

A network of {parameters:,} parameters ({network}) for {dataset}. One file holds everything,
`{version}/{model_file}`: raw pixels in, probabilities out, and a card in its metadata with the rest, for machines.

It knows {classes} labels: {labels}.

## Metrics

On {n:,} test images, on which nothing was chosen or fitted; as served, through onnxruntime:

| metric | value |
|---|---|
| accuracy | {accuracy:.4f} |
| macro accuracy: the mean of the labels' recalls | {macro:.4f} |
{several}| loss (negative log-likelihood) | {loss:.4f} |
| expected calibration error (ECE), 15 bins | {ece:.4f} |
| the same before calibration | {ece_uncalibrated:.4f} |
| mean number of labels in a set that is to hold the true label in {coverage:.0%} of cases | {set_size:.3f} |
| share of sets that hold it | {set_coverage:.4f} |
| images called novel | {novel} |
| accuracy on {photo_count:,} of them, as photos | {photos:.4f} |
| accuracy on the same, untouched | {untouched:.4f} |

The temperature in the graph ({temperature:.3f}){thresholds} are fitted on validation images, which
are training images kept out of training. The photos are test images enlarged to 280 to 700 pixels, {photo_kind}
and saved as JPEG.

Label by label, on the same images. Recall: of the images with the label, the share that got it. Precision: of the
images that got the label, the share that have it. Coverage: of the images with the label, the share whose set holds it.

| label | images | recall | precision | coverage | {remark} |
|---|---|---|---|---|---|
{by_label}
{report}{plots}{out_of_distribution}{corrupted}
## How it was trained

{history}
Exported with {libraries}.

{again}The training pixels and labels have the SHA-256 `{data_sha256}`.

## What it is not for

It knows only its {classes} labels and {gives}, whatever the image shows. {unlike}
It was measured on {dataset} alone: expect lower accuracy on photographs that differ from it in framing, light or
background. An upload of another size is preprocessed first: {fit}.
Look at the `fit` field of an answer, and at the pixels that the model saw (`?seen=true`), before you trust one.
{notes}
Licence: {licence}.
"""

NOVEL = "`novel` in an answer says that the image is unlike the training images; its absence proves nothing."
NOT_NOVEL = "Nothing in an answer says that the image is unlike the training images."
OUT_OF_DISTRIBUTION = """
The novelty score separates test images from images of other things with this area under the receiver operating
characteristic curve (AUROC: 1 is perfect, 0.5 is guessing). Nothing was fitted on these images.

| images of other things | AUROC |
|---|---|
{rows}
"""

CORRUPTED = """
The fifteen corruptions of CIFAR-10-C (Hendrycks and Dietterich 2019), in five severities each, leave an accuracy of
{accuracy:.4f} on {n:,} corrupted test images. The expected calibration error is {ece:.4f} there, and {set_coverage:.4f}
of the label sets hold the true label.

| corruption | accuracy |
|---|---|
{rows}
"""

SEVERAL = """\
| macro F1: the mean of the labels' F1 scores | {f1:.4f} |
| mAP: the mean of the labels' average precisions | {map:.4f} |
"""

REPORT = "\nPictures of its mistakes are in [{report}]({version}/{report}).\n"

FITS = {
    "garment": "the garment separated from its background, inverted unless grey on black, trimmed, scaled, centred",
    "photo": "converted to the input's colours, its shortest side scaled, its centre cropped",
}

PHOTO_KINDS = {"garment": "inverted, laid on a white sheet off its centre", "photo": "rotated as by a turned camera"}

TRAINED = (
    "Recipe `{recipe}`, seed {seed}: {epochs} epoch{plural} in {seconds:.0f} s on {device}, {date}. "
    "Accuracy on validation images at the end: {last:.4f}."
)
LOADED = (
    "The weights of the recipe `{recipe}` came from a checkpoint or, where the network is pretrained, from a package: "
    "no training on these images was recorded. Exported {date}."
)
TAUGHT = " It also learned the probabilities of {teachers}, for {images}."
AUGMENTED = " Augmentations: {names}."
QUANTIZED = " The file is the trained network in int8 ({quantization}); all figures here are of this file."
AGAIN = "To train it again: `{command}`.\n"


def readme(card: Mapping[str, Any], figures: Sequence[LabelFigures], plots: Sequence[str], side: int) -> str:
    """Return the text for a card's values (as in serving.model.card).

    plots: paths of the plots. side: height and width of an input, in pixels.
    """
    training = card["training"]
    photos, novelty = card["photos"], card.get("novelty")
    metrics = dict(card["metrics"])
    corrupted = metrics.pop("corrupted", None)
    published = card["dataset"] in SOURCES
    return TEXT.format(
        hub_licence=_hub_licence(card),
        hub_datasets=f"datasets: [{', '.join(_datasets(card['dataset']))}]\n" if published else "",
        **{key: value for key, value in card.items() if key not in ("labels", "fit", "photos", "novelty", "notes")},
        **metrics,
        several=SEVERAL.format(**metrics) if "task" in card else "",
        gives="gives none or several of them to an image" if "task" in card else "gives one of them to any image",
        remark="threshold" if "task" in card else "most often taken for",
        macro=mean(label.right / label.images for label in figures if label.images),
        **{key: value for key, value in training.items() if key not in ("libraries", "epoch_accuracy")},
        model_file=MODEL_FILE,
        classes=len(card["labels"]),
        labels=", ".join(map(_escaped, card["labels"])),
        fit=FITS[card["fit"]],
        history=_history(training),
        again=AGAIN.format(command=export_command(card, side)) if training["epoch_accuracy"] else "",
        libraries=", ".join(f"{name} {version}" for name, version in training["libraries"].items()),
        by_label="\n".join(_rows(figures)),
        coverage=card["conformal"]["coverage"],
        thresholds=", the thresholds of the sets and that of novelty" if novelty else " and the thresholds of the sets",
        unlike=NOVEL if novelty else NOT_NOVEL,
        novel=f"{novelty['share']:.2%}" if novelty else "the graph has no such output",
        out_of_distribution=_out_of_distribution(novelty["auroc"]) if novelty else "",
        corrupted=_corrupted(corrupted) if corrupted else "",
        report="" if published else REPORT.format(version=card["version"], report=REPORT_FILE),
        photos=photos["accuracy"],
        untouched=photos["untouched"],
        photo_count=photos["n"],
        notes="".join(f"\n- {note}" for note in card.get("notes", ())) + ("\n" if "notes" in card else ""),
        photo_kind=PHOTO_KINDS[card["fit"]],
        plots="".join(f"\n![{Path(path).stem}]({path})\n" for path in plots),
    )


def _hub_licence(card: Mapping[str, Any]) -> str:
    """Return the licence by its name among model hubs: MIT where nothing else holds, as weights of others would add."""
    source = SOURCES.get(card["dataset"])
    return "mit" if source and card["licence"] == source.licence and source.licence.startswith("MIT") else "other"


def _datasets(title: str) -> tuple[str, ...]:
    """Return the titles of the data sets that one is made of; of most data sets it is their own."""
    source = SOURCES[title]
    return source.labels if isinstance(source, Domains) else (title,)


def _history(training: Mapping[str, Any]) -> str:
    """Return the sentences on how the network was trained."""
    accuracy, plural = training["epoch_accuracy"], "s" if training["epochs"] != 1 else ""
    sentences = [
        TRAINED.format(**training, plural=plural, last=accuracy[-1]) if accuracy else LOADED.format(**training),
        _taught(training),
        AUGMENTED.format(names=", ".join(training["augmentations"])) if "augmentations" in training else "",
        QUANTIZED.format(**training) if "quantization" in training else "",
    ]
    return "".join(sentences)


def _taught(training: Mapping[str, Any]) -> str:
    if "teachers" not in training:
        return ""
    teachers = " and ".join(teacher.partition(" sha256:")[0] for teacher in training["teachers"])
    images = f"the images as `{training['view']}` draws them" if "view" in training else "the same images"
    return TAUGHT.format(teachers=teachers, images=images)


def _out_of_distribution(auroc: Mapping[str, float]) -> str:
    """Return the table of out-of-distribution sets."""
    return OUT_OF_DISTRIBUTION.format(rows="\n".join(f"| {name} | {area:.3f} |" for name, area in auroc.items()))


def _corrupted(metrics: Mapping[str, Any]) -> str:
    """Return the figures on corrupted images."""
    accuracies = metrics["by_corruption"].items()
    return CORRUPTED.format(**metrics, rows="\n".join(f"| {name} | {accuracy:.3f} |" for name, accuracy in accuracies))


def _rows(figures: Sequence[LabelFigures]) -> Iterator[str]:
    """Yield the row of each label."""
    for label, images, given, right, coverage, remark in figures:
        shares = f"{_share(right, images)} | {_share(right, given)} | {_share(coverage * images, images)}"
        yield f"| {_escaped(label)} | {images:,} | {shares} | {_escaped(remark)} |"


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is, in a cell of a table too."""
    return re.sub(r"([\\`*_~<|$])", r"\\\1", text)


def _share(part: float, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "none"
