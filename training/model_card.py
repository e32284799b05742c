"""The model card for people: README.md of a model folder, with the front matter that model hubs read."""

from collections.abc import Mapping
from typing import Any

TEXT = """\
---
license: mit
library_name: onnx
pipeline_tag: image-classification
tags: [thimble]
datasets: [{dataset}]
model-index:
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

## How it was trained

{history}
Made with {libraries}.
{picture}
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
    "photo": "made RGB, the shortest side scaled, the centre cut out",
}


TRAINED = (
    "Recipe `{recipe}`, seed {seed}: {epochs} epochs in {seconds:.0f} s on {device}, {date}. "
    "Accuracy on held-out images at the end: {last:.4f}."
)
LOADED = "The weights came from a checkpoint; they fit the network of the recipe `{recipe}`. Exported {date}."
AGAIN = "To do it again: `python -m training.export {recipe} --epochs {epochs} --seed {seed}{held_to}`.\n"


def model_card(card: Mapping[str, Any], curves: str | None) -> str:
    """Return the text for a card's values (as in serving.contract) and the path of its curves, if there are any."""
    training = card["training"]
    history = training["epoch_accuracy"]
    return TEXT.format(
        **{key: value for key, value in card.items() if key not in ("labels", "fit")},
        **card["metrics"],
        **{key: value for key, value in training.items() if key not in ("libraries", "epoch_accuracy")},
        classes=len(card["labels"]),
        labels=", ".join(card["labels"]),
        fit=FITS[card["fit"]],
        history=(TRAINED if history else LOADED).format(**training, last=history[-1] if history else 0),
        again=AGAIN.format(**training, held_to=f" --limit {limit}" if (limit := training.get("limit")) else "")
        if history
        else "",
        libraries=", ".join(f"{name} {version}" for name, version in training["libraries"].items()),
        picture=f"\n![Loss and accuracy by epoch]({curves})\n" if curves else "",
    )
