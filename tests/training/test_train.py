import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from training.datasets import DataSet, Images
from training.networks import CNN, MLP
from training.precision import PLAIN
from training.recipes import RECIPES
from training.train import CheckpointError, DeviceError, Fitted, find_device, fit, from_checkpoint, infer, score

CPU = torch.device("cpu")
QUICK = replace(RECIPES["lecture-mlp"], epochs=1, learning_rate=3e-3)


def quietly(seen: int, loss: float, accuracy: float) -> None:
    """Report to nobody."""


@pytest.fixture(scope="module")
def parts(garments: DataSet) -> tuple[Images, Images]:
    """Images to train on and images held out."""
    return garments.train.split(60)


def weights(fitted: Fitted) -> torch.Tensor:
    return nn.utils.parameters_to_vector(fitted.network.parameters()).detach()


def test_the_processor_is_there_and_auto_finds_something():
    assert find_device("cpu") == CPU
    assert find_device("auto").type in ("cuda", "mps", "cpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name):
    if getattr(torch, name).is_available():
        pytest.skip(f"this machine has {name}")

    with pytest.raises(DeviceError, match=rf"--device {name}: .* there is .*cpu"):
        find_device(name)


def test_one_epoch_learns(parts):
    fitted = fit(QUICK, *parts, CPU, quietly)

    (epoch,) = fitted.epochs
    assert epoch.number == 1
    assert epoch.held_accuracy > 0.8
    assert epoch.held_loss < epoch.loss
    assert epoch.seconds > 0


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_learns_in_a_few_epochs(recipe, data_dir):
    train, held = recipe.source.load(data_dir, limit=300).train.split(50)

    fitted = fit(replace(recipe, epochs=3, batch=16), train, held, CPU, quietly)

    assert fitted.epochs[-1].held_accuracy > 0.3
    assert fitted.epochs[-1].loss < fitted.epochs[0].loss


def test_what_an_epoch_ended_on_is_what_the_network_says_of_the_held_out_images(parts):
    held = parts[1]

    fitted = fit(replace(QUICK, epochs=2), *parts, CPU, quietly)

    loss, accuracy = score(fitted.logits(held.pixels), held.labels)
    assert [epoch.number for epoch in fitted.epochs] == [1, 2]
    assert fitted.epochs[-1].held_loss == pytest.approx(loss)
    assert fitted.epochs[-1].held_accuracy == pytest.approx(accuracy)


@pytest.mark.parametrize("name", ["fashion-mlp", "cifar-cnn"])
def test_the_seed_decides_the_weights(name, data_dir):
    recipe = replace(RECIPES[name], epochs=1, batch=32)
    train, held = recipe.source.load(data_dir, limit=100).train.split(10)

    first, again, other = (weights(fit(replace(recipe, seed=seed), train, held, CPU, quietly)) for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_seed_decides_the_order_of_the_images_too(parts):
    def same_start() -> MLP:
        torch.manual_seed(0)
        return MLP()

    first, again, other = (
        weights(fit(replace(QUICK, network=same_start, seed=seed), *parts, CPU, quietly)) for seed in (1, 1, 2)
    )

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_dropout_works_in_every_epoch_and_never_on_held_out_images(parts):
    train, held = parts
    modes = []

    class Watched(MLP):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            modes.append((len(images), self.training))
            return super().forward(images)

    fit(replace(QUICK, network=Watched, epochs=2, batch=len(train)), train, held, CPU, quietly)

    assert modes == [(len(train), True), (len(held), False)] * 2


def test_a_fitted_network_is_in_evaluation_mode_on_the_processor(parts):
    fitted = fit(replace(QUICK, network=lambda: MLP(dropout=0.5)), *parts, CPU, quietly)

    assert not any(module.training for module in fitted.network.modules())
    assert {parameter.device for parameter in fitted.network.parameters()} == {CPU}


def test_the_report_counts_images_up_to_all_of_them(parts):
    reports = []

    fitted = fit(replace(QUICK, epochs=2, batch=16), *parts, CPU, lambda *report: reports.append(report))

    seen = [images for images, _, _ in reports]
    assert seen == [160, 320, 340, 500, 660, 680]
    assert [reports[2][1:], reports[5][1:]] == [(epoch.loss, epoch.accuracy) for epoch in fitted.epochs]


@pytest.mark.parametrize(("images", "epochs"), [(1, 1), (1, 5), (32, 5), (33, 5), (160, 1)])
def test_a_one_cycle_recipe_trains_whatever_the_number_of_steps(garments, images, epochs):
    train, held = garments.train.take(slice(images)), garments.train.take(slice(350, None))
    recipe = replace(RECIPES["fashion-mlp"], epochs=epochs, batch=32, normalise=QUICK.normalise)

    fitted = fit(recipe, train, held, CPU, quietly)

    assert len(fitted.epochs) == epochs


@pytest.mark.parametrize(("smoothing", "decay"), [(0.2, 0.0), (0.0, 0.5)], ids=["label smoothing", "weight decay"])
def test_label_smoothing_and_weight_decay_are_heeded(parts, smoothing, decay):
    plain = fit(QUICK, *parts, CPU, quietly)

    changed = fit(replace(QUICK, label_smoothing=smoothing, weight_decay=decay), *parts, CPU, quietly)

    assert not torch.equal(weights(plain), weights(changed))


def test_augmentations_see_every_batch_in_their_order(parts):
    seen = []

    def first(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        seen.append(len(images))
        return images * 0

    def second(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        assert not images.any()
        return images

    fit(replace(QUICK, batch=100, augmentations=(first, second)), *parts, CPU, quietly)

    assert seen == [100, 100, 100, 40]


def test_inference_in_batches_gives_what_one_batch_gives():
    images = torch.rand(2_500, 1, 28, 28)
    network = MLP(dropout=0.5).train()

    logits = infer(network, images, PLAIN)

    assert logits.shape == (2_500, 10)
    assert torch.allclose(logits, network.eval()(images), atol=1e-6)


def test_a_score_is_mean_cross_entropy_and_accuracy():
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), torch.tensor([0, 1, 1])

    loss, accuracy = score(logits, labels)

    assert loss == pytest.approx(float(functional.cross_entropy(logits, labels)))
    assert accuracy == pytest.approx(2 / 3)


def test_a_checkpoint_gives_back_the_answers_of_the_network_that_was_saved(tmp_path, parts):
    fitted = fit(QUICK, *parts, CPU, quietly)
    file = tmp_path / "weights.pt"
    torch.save(fitted.network.state_dict(), file)

    restored = from_checkpoint(QUICK, parts[0], file)

    assert torch.equal(restored.logits(parts[1].pixels), fitted.logits(parts[1].pixels))
    assert restored.epochs == ()
    assert not restored.network.training


class Trap:
    """An object whose unpickling creates a file."""

    def __init__(self, sprung: Path) -> None:
        self._sprung = sprung

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._sprung,)


@pytest.mark.parametrize("how", ["by torch", "by pickle"])
def test_code_in_a_checkpoint_is_not_run(tmp_path, parts, how):
    file, sprung = tmp_path / "weights.pt", tmp_path / "sprung"
    if how == "by torch":
        torch.save({"2.weight": Trap(sprung)}, file)
    else:
        file.write_bytes(pickle.dumps(Trap(sprung), protocol=2))

    with pytest.raises(CheckpointError, match=r"weights\.pt: not the weights"):
        from_checkpoint(QUICK, parts[0], file)

    assert not sprung.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b".", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04 no archive", pickle.dumps([1, 2], protocol=2)],
    ids=["empty", "text", "a dot", "image", "archive", "pickle"],
)
def test_a_foreign_file_is_refused_as_a_checkpoint(tmp_path, parts, content):
    file = tmp_path / "weights.pt"
    file.write_bytes(content)

    with pytest.raises(CheckpointError, match=r"weights\.pt: not the weights of lecture-mlp's network"):
        from_checkpoint(QUICK, parts[0], file)


@pytest.mark.parametrize(
    "saved",
    [CNN().state_dict(), MLP(classes=4).state_dict(), {}, {1: 2}, [1], torch.zeros(3), None],
    ids=["other network", "other classes", "empty", "numbers", "list", "tensor", "nothing"],
)
def test_other_things_that_torch_saves_are_refused_as_a_checkpoint(tmp_path, parts, saved):
    file = tmp_path / "weights.pt"
    torch.save(saved, file)

    with pytest.raises(CheckpointError, match=r"weights\.pt: not the weights of lecture-mlp's network"):
        from_checkpoint(QUICK, parts[0], file)


@pytest.mark.parametrize("place", ["nowhere.pt", "."], ids=["missing", "a folder"])
def test_a_checkpoint_that_is_no_file_is_refused_by_name(tmp_path, parts, place):
    with pytest.raises(CheckpointError, match=str(tmp_path / place)):
        from_checkpoint(QUICK, parts[0], tmp_path / place)
