"""The model card for people: README.md of a model folder, with the front matter that model hubs read."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.datasets import SOURCES

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

A network of {parameters:,} parameters ({network}), trained on {dataset}. One file holds it all,
`{version}/model.onnx`: raw pixels in, probabilities out, and a card in its metadata that says the rest to machines.

It knows {classes} labels: {labels}.

## Figures

On {n:,} test images that no choice was made on, as served, through onnxruntime:

| figure | value |
|---|---|
| accuracy | {accuracy:.4f} |
| loss (negative log-likelihood) | {loss:.4f} |
| expected calibration error, 15 bins | {ece:.4f} |
| the same before calibration | {ece_uncalibrated:.4f} |
| labels in a set that is to hold the truth in {coverage:.0%} of cases, mean | {set_size:.3f} |
| sets that do hold it | {set_coverage:.4f} |
| images called novel | {novel} |
| accuracy on {photographed:,} of them, as photos | {photos:.4f} |
| accuracy on the same, untouched | {untouched:.4f} |

The temperature folded into the graph, {temperature:.3f}, the thresholds of the sets and that of novelty are fitted on
held-out training images. The photos are test images enlarged to 280 to 700 pixels, saved as JPEG, {taken}.

Label by label, on the same images: recall is the share of a label's images that were given it, precision the share of
those given it that bear it, covered the share whose set holds it.

| label | images | recall | precision | covered | most often taken for |
|---|---|---|---|---|---|
{by_label}
{pictures}{foreign}
## How it was trained

{history}
Made with {libraries}.

{again}The training pixels and labels have the SHA-256 `{data_sha256}`.

## What it is not for

It knows nothing but its {classes} labels and gives one of them to any image, whatever it shows; `novel` in an answer
says that the image is unlike those it learned from, and its absence proves nothing. It was measured on
{dataset} alone; photographs that differ from it in framing, light or background are answered worse than the figures
above say. An upload of another size is first made alike:
{fit}.
Look at the `fit` field of an answer, and at the pixels that the model saw (`?seen=true`), before you trust one.

Licence: {licence}.
"""

FOREIGN = """
How well the novelty score tells images of other things from test images, as the area under the ROC curve (1 is
perfect, 0.5 is guessing). None of these images had a part in its making.

| images of other things | AUROC |
|---|---|
{rows}
"""

FITS = {
    "garment": "made grey, inverted where the border is bright, trimmed, its longest side scaled, sharpened, centred",
    "photo": "its colours made those of the input, the shortest side scaled, the centre cut out",
}

TAKEN = {"garment": "inverted on a white sheet, off its centre", "photo": "the camera turned"}

TRAINED = (
    "Recipe `{recipe}`, seed {seed}: {epochs} epochs in {seconds:.0f} s on {device}, {date}. "
    "Accuracy on held-out images at the end: {last:.4f}."
)
LOADED = "The weights came from a checkpoint; they fit the network of the recipe `{recipe}`. Exported {date}."
AGAIN = "To do it again: `python -m training.export {what} --epochs {epochs} --seed {seed}{held_to}{variant}`.\n"


def model_card(
    card: Mapping[str, Any], confusion: Sequence[Sequence[int]], covered: Sequence[float], pictures: Sequence[str]
) -> str:
    """Return the text for a card's values (as in serving.model.card).

    confusion: how many test images of each label (row) were given each label. covered: the share of each label's images
    whose set holds it. pictures: paths of its plots.
    """
    published = card["dataset"] in SOURCES
    training = card["training"]
    history = training["epoch_accuracy"]
    photos, novelty = card["photos"], card.get("novelty")
    return TEXT.format(
        hub_licence="mit" if card["licence"].startswith("MIT") else "other",
        hub_datasets=f"datasets: [{card['dataset']}]\n" if published else "",
        **{key: value for key, value in card.items() if key not in ("labels", "fit", "photos", "novelty")},
        **card["metrics"],
        **{key: value for key, value in training.items() if key not in ("libraries", "epoch_accuracy")},
        classes=len(card["labels"]),
        labels=", ".join(card["labels"]),
        fit=FITS[card["fit"]],
        history=(TRAINED if history else LOADED).format(**training, last=history[-1] if history else 0),
        again=AGAIN.format(
            **training,
            what=training["recipe"] if published else f"--images DIR --name {training['recipe']}",
            variant=" --int8" if card["name"] != training["recipe"] else "",
            held_to=f" --limit {limit}" if (limit := training.get("limit")) else "",
        )
        if history
        else "",
        libraries=", ".join(f"{name} {version}" for name, version in training["libraries"].items()),
        by_label="\n".join(_by_label(card["labels"], confusion, covered)),
        coverage=card["conformal"]["coverage"],
        novel=f"{novelty['share']:.2%}" if novelty else "the graph has no such output",
        foreign=FOREIGN.format(rows="\n".join(_foreign(novelty["auroc"]))) if novelty else "",
        photos=photos["accuracy"],
        untouched=photos["untouched"],
        photographed=photos["n"],
        taken=TAKEN[card["fit"]],
        pictures="".join(f"\n![{Path(path).stem}]({path})\n" for path in pictures),
    )


def _foreign(auroc: Mapping[str, float]) -> Iterator[str]:
    """Yield the row of each set of foreign images."""
    yield from (f"| {name} | {area:.3f} |" for name, area in auroc.items())


def _by_label(labels: Sequence[str], confusion: Sequence[Sequence[int]], covered: Sequence[float]) -> Iterator[str]:
    """Yield the row of each label."""
    labels = [label.replace("|", r"\|") for label in labels]  # which would end the cell
    for index, (label, row) in enumerate(zip(labels, confusion, strict=True)):
        images, given, right = sum(row), sum(other[index] for other in confusion), row[index]
        wrong = {labels[other]: count for other, count in enumerate(row) if count and other != index}
        worst = sorted(wrong, key=lambda other: -wrong[other])[:2]
        taken = ", ".join(f"{other} ({wrong[other]})" for other in worst) or "none"
        shares = f"{_share(right, images)} | {_share(right, given)} | {_share(covered[index] * images, images)}"
        yield f"| {label} | {images:,} | {shares} | {taken} |"


def _share(part: float, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "none"
