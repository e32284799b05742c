import math
import struct
import warnings
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import nn

from serving.model.metrics import Corrupted, ModelMetrics, Photos
from training.evaluation.evaluate_graph import Evaluation, NoveltyMetrics
from training.label_font import drawable
from training.networks import efficientnet
from training.networks.base import count_parameters
from training.networks.cnn import CNN
from training.networks.mlp import MLP
from training.networks.net import Residual
from training.recipes import RECIPES
from training.report import (
    draw_confusion,
    draw_curves,
    epochs_table,
    evaluation_table,
    last_layer_alone,
    recipes_table,
    summary,
)
from training.train.trainer import Epoch

EPOCHS = tuple(Epoch(n, 1 / n, 1 - 0.3 / n, 1.2 / n, 0.987654 - 0.4 / n, 0.004 / n, 61.25) for n in (1, 2, 3))
METRICS = ModelMetrics(accuracy=0.9, n=10, loss=0.3, ece=0.01, ece_uncalibrated=0.02, set_size=1.2, set_coverage=0.951)
PHOTOS = Photos(accuracy=0.87, untouched=0.89, n=10)


def rows(table: Table) -> list[tuple[str, ...]]:
    return list(zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True))


def rendered(table: Table, width: int = 120) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


@pytest.mark.parametrize(
    ("loss", "accuracy", "better"), [(0.1, 0.9, True), (0.1, 0.8, False), (0.3, 0.9, False), (0.3, 0.7, False)]
)
def test_fine_tuning_that_made_a_network_clearly_worse_is_told(loss, accuracy, better):
    after = replace(EPOCHS[-1], val_loss=0.2, val_accuracy=0.8)

    text = last_layer_alone(replace(after, val_loss=loss, val_accuracy=accuracy), after)

    assert text.startswith(f"The last layer alone: val loss {loss:.4f}, val accuracy {accuracy:.4f}")
    assert ("leave --fine-tune out" in text) == better


def test_the_list_says_of_a_network_without_its_packages_what_it_needs(monkeypatch):
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)

    table = recipes_table(RECIPES.values())

    cells = {row[0].partition("\n")[0]: row[2:5] for row in rows(table)}
    assert list(cells) == [f"[bold]{name}[/]" for name in RECIPES]
    assert cells["[bold]cifar-net[/]"] == (r"needs thimble\[backbones]", "", str(RECIPES["cifar-net"].epochs))
    assert cells["[bold]fashion-mlp[/]"] == ("mlp 784-128-10", "101,770", "100")
    assert "[backbones]" in rendered(table)


def test_the_list_fits_a_narrow_terminal_with_all_words_whole():
    lines = rendered(recipes_table(RECIPES.values()), width=80).splitlines()

    words = {word for line in lines for word in line.split()}
    assert max(map(len, lines)) == 80
    for recipe in RECIPES.values():
        assert words >= {*recipe.title.split(), *recipe.source.title.split(), *recipe.network().title.split()}


def test_a_summary_lists_layers_shapes_and_parameters():
    table = summary(CNN(), "a title", (3, 32, 32))

    assert rows(table)[:3] == [
        ("Conv2d", "(32, 30, 30)", "896"),
        ("ReLU", "(32, 30, 30)", "0"),
        ("MaxPool2d", "(32, 15, 15)", "0"),
    ]
    assert rows(table)[-3:] == [("Linear", "(64,)", "65,600"), ("ReLU", "(64,)", "0"), ("Linear", "(10,)", "650")]
    assert "a title" in rendered(table)
    assert "122,570 parameters" in rendered(table)


@pytest.mark.parametrize(("residuals", "kinds"), [(16, ["Conv2d", "BatchNorm", "GELU"] * 16), (17, ["Residual"] * 17)])
def test_a_summary_of_many_layers_has_a_row_for_each_block(residuals, kinds):
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sequential(*(Residual(2) for _ in range(residuals))))

    table = summary(network, "", (1, 4, 4))

    assert [kind for kind, _, _ in rows(table)] == ["Conv2d", *kinds]
    assert {shape for _, shape, _ in rows(table)} == {"(2, 4, 4)"}
    assert sum(int(parameters) for _, _, parameters in rows(table)) == count_parameters(network)


def test_a_summary_leaves_the_network_as_it_was():
    network = MLP(dropout=0.1)

    summary(network, "", (1, 28, 28))

    assert not any(layer._forward_hooks for layer in network)
    assert not any(parameter.grad is not None for parameter in network.parameters())


def test_the_epochs_are_listed_one_a_row():
    table = epochs_table(EPOCHS)

    assert rows(table)[0] == ("1", "1.0000", "0.7000", "1.2000", "0.5877", "61.2")
    assert [row[0] for row in rows(table)] == ["1", "2", "3"]
    assert "Val accuracy" in rendered(table)


def test_all_metrics_are_listed_by_name_with_counts_in_full():
    metrics = msgspec.structs.replace(METRICS, accuracy=0.88888, n=10_000)
    novelty, photos = NoveltyMetrics(0.0512, {"noise": 0.99}), Photos(accuracy=0.87, untouched=0.89, n=2_000)
    evaluation = Evaluation(metrics, 0.65, [0.9, math.nan, 0.8], novelty, photos, torch.empty(0))

    table = dict(rows(evaluation_table(evaluation, ("Bag", "Coat", "[Shirt]"))))

    assert (table["accuracy"], table["n"], table["set_coverage"]) == ("0.8889", "10,000", "0.9510")
    assert table["macro accuracy, the mean of the labels' recalls"] == "0.6500"
    assert (table["novel"], table["AUROC against noise"]) == ("0.0512", "0.9900")
    assert table["set_coverage of [Shirt], the lowest"] == "0.8000"
    assert table["accuracy on photos (2,000 images)"] == "0.8700"


def test_metrics_on_corrupted_images_are_listed_where_they_were_measured():
    corrupted = Corrupted(accuracy=0.7, ece=0.05, set_coverage=0.8, n=15_000, by_corruption={"fog": 0.6})

    evaluation = Evaluation(METRICS, 0.65, [0.9], None, PHOTOS, torch.empty(0), corrupted)
    table = dict(rows(evaluation_table(evaluation, ("Bag",))))

    assert (table["accuracy on corrupted images (15,000)"], table["accuracy after fog"]) == ("0.7000", "0.6000")


def test_a_graph_without_novelty_has_no_such_rows():
    table = dict(rows(evaluation_table(Evaluation(METRICS, 0.65, [0.9], None, PHOTOS, torch.empty(0)), ("Bag",))))

    assert not any("novel" in name or "AUROC" in name for name in table)


@pytest.mark.parametrize("count", [1, 3])
def test_the_curves_are_a_png_of_three_plots(tmp_path, count):
    path = tmp_path / "curves.png"

    draw_curves(EPOCHS[:count], "AdamW", path)

    content = path.read_bytes()
    width, height = struct.unpack(">2I", content[16:24])
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert width > 3 * height
    assert len(content) > 10_000


def test_the_curves_say_whose_learning_rate_is_drawn(tmp_path):
    for optimizer in ("AdamW", "Muon"):
        draw_curves(EPOCHS, optimizer, tmp_path / f"{optimizer}.png")

    assert (tmp_path / "AdamW.png").read_bytes() != (tmp_path / "Muon.png").read_bytes()


@pytest.mark.parametrize("classes", [2, 10, 40])
def test_the_confusion_is_a_square_png_that_grows_with_the_labels(tmp_path, classes):
    path = tmp_path / "confusion.png"

    draw_confusion(torch.eye(classes, dtype=torch.int64) * 7, [f"label {n}" for n in range(classes)], path)

    content = path.read_bytes()
    width, height = struct.unpack(">2I", content[16:24])
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert width == height
    assert width > 45 * classes


@pytest.mark.parametrize("letters", [39, 200])
def test_long_labels_leave_the_confusion_matrix_its_room(tmp_path, letters):
    path, blue = tmp_path / "confusion.png", (8, 48, 107)  # of a cell with all images of a label

    with warnings.catch_warnings(action="error"):
        draw_confusion(torch.eye(2, dtype=torch.int64) * 7, ["healthy", "m" * letters], path)

    with Image.open(path) as image:
        cells = (np.asarray(image.convert("RGB")) == blue).all(2)
    assert cells.any(0).sum() > 60
    assert cells.any(1).sum() > 60


def test_a_label_without_images_leaves_the_confusion_matrix_whole(tmp_path):
    draw_confusion(torch.tensor([[3, 1], [0, 0]]), ["cat", "dog"], tmp_path / "confusion.png")

    assert (tmp_path / "confusion.png").stat().st_size > 1_000


def test_a_label_that_the_font_lacks_is_drawn_as_its_index(tmp_path):
    labels = ["café", "кружка", "茶杯", "mug 🍵"]

    assert drawable(labels) == ["café", "кружка", "index 2", "index 3"]
    with warnings.catch_warnings(action="error"):
        draw_confusion(torch.eye(4, dtype=torch.int64), labels, tmp_path / "confusion.png")


def test_brackets_in_the_title_of_a_network_are_shown():
    assert summary(MLP(), "mobilenet[final]", (1, 28, 28)).title == r"mobilenet\[final]"
