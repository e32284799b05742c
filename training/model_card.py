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

The temperature folded into the graph, fitted on held-out training images, is {temperature:.3f}.

Label by label, on the same images: recall is the share of a label's images that were given it, precision the share of
those given it that bear it.

| label | images | recall | precision | most often taken for |
|---|---|---|---|---|
{by_label}
{pictures}
## How it was trained

{history}
Made with {libraries}.

{again}The training pixels and labels have the SHA-256 `{data_sha256}`.

## What it is not for

It knows nothing but its {classes} labels and gives one of them to any image, whatever it shows. It was measured on
{dataset} alone; photographs that differ from it in framing, light or background are answered worse than the figures
above say. An upload of another size is first made alike:
{fit}.
Look at the `fit` field of an answer, and at the pixels that the model saw (`?seen=true`), before you trust one.

Licence: {licence}.
"""

FITS = {
    "garment": "made grey, inverted where the border is bright, trimmed, the longest side scaled, centred on black",
    "photo": "its colours made those of the input, the shortest side scaled, the centre cut out",
}


TRAINED = (
    "Recipe `{recipe}`, seed {seed}: {epochs} epochs in {seconds:.0f} s on {device}, {date}. "
    "Accuracy on held-out images at the end: {last:.4f}."
)
LOADED = "The weights came from a checkpoint; they fit the network of the recipe `{recipe}`. Exported {date}."
AGAIN = "To do it again: `python -m training.export {what} --epochs {epochs} --seed {seed}{held_to}{variant}`.\n"


def model_card(card: Mapping[str, Any], confusion: Sequence[Sequence[int]], pictures: Sequence[str]) -> str:
    """Return the text for a card's values (as in serving.contract).

    confusion: how many test images of each label (row) were given each label. pictures: paths of its plots.
    """
    published = card["dataset"] in SOURCES
    training = card["training"]
    history = training["epoch_accuracy"]
    return TEXT.format(
        hub_licence="mit" if card["licence"].startswith("MIT") else "other",
        hub_datasets=f"datasets: [{card['dataset']}]\n" if published else "",
        **{key: value for key, value in card.items() if key not in ("labels", "fit")},
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
        by_label="\n".join(_by_label(card["labels"], confusion)),
        pictures="".join(f"\n![{Path(path).stem}]({path})\n" for path in pictures),
    )


def _by_label(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> Iterator[str]:
    """Yield the row of each label."""
    labels = [label.replace("|", r"\|") for label in labels]  # which would end the cell
    for index, (label, row) in enumerate(zip(labels, confusion, strict=True)):
        images, given, right = sum(row), sum(other[index] for other in confusion), row[index]
        wrong = {labels[other]: count for other, count in enumerate(row) if count and other != index}
        worst = sorted(wrong, key=lambda other: -wrong[other])[:2]
        taken = ", ".join(f"{other} ({wrong[other]})" for other in worst) or "none"
        yield f"| {label} | {images:,} | {_share(right, images)} | {_share(right, given)} | {taken} |"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "none"
