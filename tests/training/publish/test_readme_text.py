import re

import msgspec
import pytest

from serving.model.card import (
    Golden,
    ModelCard,
    Reference,
    Spread,
    Training,
)
from serving.model.conformal import Conformal
from serving.model.metrics import Corrupted, ModelMetrics, Novelty, Photos
from training.datasets.builtin import FASHION_MNIST
from training.datasets.domains import DOMAINS
from training.networks.efficientnet import TUNED, EfficientNetLite
from training.networks.titles import WITHOUT_LAST_LAYER
from training.publish.label_figures import of_confusion
from training.publish.readme import readme

CARD = ModelCard(
    schema=1,
    name="fashion-mlp",
    version="3",
    title="Garments, multilayer perceptron",
    dataset="Fashion-MNIST",
    licence="MIT; the images: MIT",
    labels=["T-shirt/top", "Ankle boot"],
    network="mlp 784-128-10",
    parameters=101_770,
    fit="garment",
    metrics=ModelMetrics(
        accuracy=0.8912,
        n=10_000,
        loss=0.30456,
        ece=0.00789,
        ece_uncalibrated=0.01234,
        set_size=1.13579,
        set_coverage=0.9512,
    ),
    temperature=1.23456,
    conformal=Conformal(coverage=0.95, threshold=0.2),
    novelty=Novelty(threshold=0.5, share=0.0456, auroc={"noise": 0.9871}),
    photos=Photos(accuracy=0.8876, untouched=0.8901, n=2_000),
    reference=Reference(labels=[0.5, 0.5], brightness=Spread(0.3, 0.1), top_probability=Spread(0.9, 0.1)),
    golden=[Golden(image="", probabilities=[0.5, 0.5])] * 3,
    training=Training(
        recipe="fashion-mlp",
        seed=1,
        epochs=2,
        seconds=61.4,
        device="cpu",
        libraries={"python": "3.11.7", "torch": "2.13.0"},
        date="2026-01-31",
        data_sha256="ab" * 32,
        epoch_accuracy=[0.8123, 0.8899],
    ),
)


CONFUSION, COVERAGE = [[80, 20], [0, 100]], [0.87, 1.0]


def written(card: ModelCard, plots: tuple[str, ...] = ("3/confusion.png", "3/curves.png"), side: int = 28) -> str:
    return readme(msgspec.to_builtins(card), of_confusion(card.labels, CONFUSION, COVERAGE), plots, side)


def test_the_front_matter_is_what_model_hubs_read():
    _, front, _ = written(CARD).split("---\n", 2)

    lines = front.splitlines()
    assert {"license: mit", "library_name: onnx", "pipeline_tag: image-classification"} <= set(lines)
    assert "datasets: [Fashion-MNIST]" in lines
    assert "  - name: fashion-mlp" in lines
    assert "        metrics: [{type: accuracy, value: 0.8912}]" in lines


@pytest.mark.parametrize(
    ("licence", "name"),
    [
        (FASHION_MNIST.licence, "mit"),
        (f"{FASHION_MNIST.licence}; {EfficientNetLite.licence}", "other"),
        ("not stated; that is for the owner of the images to say", "other"),
    ],
)
def test_the_licence_for_hubs_is_mit_where_no_other_weights_are_in_the_file(licence, name):
    assert f"\nlicense: {name}\n" in written(msgspec.structs.replace(CARD, licence=licence))


def test_a_model_of_several_data_sets_names_each_for_hubs():
    card = msgspec.structs.replace(CARD, dataset=DOMAINS.title)

    assert "\ndatasets: [Fashion-MNIST, CIFAR-10]\n" in written(card)


@pytest.mark.parametrize(
    ("network", "options"),
    [
        (EfficientNetLite.title, "--backbone efficientnet-lite0"),
        (f"{EfficientNetLite.title}, int8", "--backbone efficientnet-lite0 --int8"),
        (f"{EfficientNetLite.title}, last 4 {TUNED}, int8", "--fine-tune --epochs 2 --seed 1 --int8"),
        (f"mobilenet{WITHOUT_LAST_LAYER}", "--backbone FILE.onnx"),
        (f"mobilenet{WITHOUT_LAST_LAYER}, int8", "--backbone FILE.onnx --int8"),
        ("net 128-384-512", "--epochs 2 --seed 1"),
    ],
)
def test_the_command_for_own_images_names_the_backbone_that_was_taken(network, options):
    name = "flowers-int8" if "int8" in network else "flowers"
    training = msgspec.structs.replace(CARD.training, recipe="flowers")
    card = msgspec.structs.replace(CARD, dataset="own images (flowers)", network=network, training=training, name=name)

    assert f"`python -m training.export --images DIR --name flowers --side 28 {options}`" in written(card)


def test_the_command_leaves_out_a_side_that_no_option_gives():
    training = msgspec.structs.replace(CARD.training, recipe="flowers")
    network = f"tiny{WITHOUT_LAST_LAYER}"
    card = msgspec.structs.replace(CARD, dataset="own images (flowers)", network=network, training=training)

    assert "--images DIR --name flowers --backbone FILE.onnx" in written(card, side=300)


def test_a_single_epoch_is_counted_as_one():
    training = msgspec.structs.replace(CARD.training, epochs=1, epoch_accuracy=[0.8123])

    assert "1 epoch in 61 s" in written(msgspec.structs.replace(CARD, training=training))


@pytest.mark.parametrize(
    "part",
    [
        "# fashion-mlp: Garments, multilayer perceptron",
        "101,770 parameters (mlp 784-128-10) for Fashion-MNIST",
        "`3/model.onnx`",
        "It knows 2 labels: T-shirt/top, Ankle boot.",
        "On 10,000 test images",
        "| accuracy | 0.8912 |",
        "| macro accuracy: the mean of the labels' recalls | 0.9000 |",
        "| loss (negative log-likelihood) | 0.3046 |",
        "| expected calibration error (ECE), 15 bins | 0.0079 |",
        "| the same before calibration | 0.0123 |",
        "| mean number of labels in a set that is to hold the true label in 95% of cases | 1.136 |",
        "| share of sets that hold it | 0.9512 |",
        "| images called novel | 4.56% |",
        "| noise | 0.987 |",
        "| accuracy on 2,000 of them, as photos | 0.8876 |",
        "| accuracy on the same, untouched | 0.8901 |",
        "on a white sheet off its centre",
        "The temperature in the graph (1.235),",
        "2 epochs in 61 s on cpu, 2026-01-31",
        "Accuracy on validation images at the end: 0.8899.",
        "python 3.11.7, torch 2.13.0",
        "![curves](3/curves.png)",
        "![confusion](3/confusion.png)",
        "| T-shirt/top | 100 | 0.800 | 1.000 | 0.870 | Ankle boot (20) |",
        "| Ankle boot | 100 | 1.000 | 0.833 | 1.000 | none |",
        "`python -m training.export fashion-mlp --epochs 2 --seed 1`",
        "ab" * 32,
        "inverted unless grey on black",
        "Licence: MIT; the images: MIT.",
    ],
)
def test_the_text_says_what_the_card_says(part):
    assert part in written(CARD)


def test_the_preprocessing_of_photos_is_described():
    text = written(msgspec.structs.replace(CARD, fit="photo"))

    assert "its centre cropped" in text
    assert "inverted" not in text


def test_accuracy_on_corrupted_images_is_given_where_it_was_measured():
    corrupted = Corrupted(
        accuracy=0.73456, ece=0.0456, set_coverage=0.8123, n=15_000, by_corruption={"fog": 0.8, "snow": 0.7}
    )

    text = written(
        msgspec.structs.replace(CARD, metrics=msgspec.structs.replace(CARD.metrics, corrupted=corrupted)), plots=()
    )

    assert "0.7346 on 15,000 corrupted test images" in text
    assert "| fog | 0.800 |\n| snow | 0.700 |" in text
    assert "corrupted" not in written(CARD)


def test_without_plots_none_is_promised():
    assert "![" not in written(CARD, plots=())


def test_a_label_without_test_images_has_no_shares():
    figures = of_confusion(CARD.labels, [[10, 0], [0, 0]], [1.0, float("nan")])

    text = readme(msgspec.to_builtins(CARD), figures, [], 28)

    assert "| Ankle boot | 0 | none | none | none | none |" in text


def test_a_graph_without_novelty_is_described_as_such():
    text = written(msgspec.structs.replace(CARD, novelty=msgspec.UNSET))

    assert "| images called novel | the graph has no such output |" in text
    assert "`novel`" not in text
    assert "AUROC" not in text


def test_without_epochs_no_training_is_described():
    training = msgspec.structs.replace(CARD.training, epochs=0, epoch_accuracy=[])

    text = written(msgspec.structs.replace(CARD, training=training), plots=())

    assert "at the end" not in text
    assert "--epochs 0" not in text


def test_no_placeholder_is_left():
    assert not re.search(r"\{[a-z_]*\}", written(CARD).split("---\n", 2)[2])


def test_a_label_is_shown_as_it_is():
    text = written(msgspec.structs.replace(CARD, labels=["<b>*cup*", "a|b $x$ _y_"]))

    assert r"It knows 2 labels: \<b>\*cup\*, a\|b \$x\$ \_y\_." in text
    assert r"| \<b>\*cup\* | 100 |" in text
