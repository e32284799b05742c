import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from small_networks import SmallNet
from torch import Tensor, nn
from torch.nn import functional

from training.datasets.folder_layout import LabelledFile
from training.datasets.image_folder import ImageFolder
from training.datasets.labelled import LabelledImages, TrainTest
from training.networks.base import Mirrored
from training.networks.cnn import CNN
from training.networks.mlp import MLP
from training.networks.normalize import Normalize
from training.own_recipe import own_recipe
from training.recipe import Recipe
from training.recipes import RECIPES
from training.train.checkpoint import CheckpointError, SavedRun
from training.train.loop import train_network
from training.train.precision import CPU_FLOAT32, Precision
from training.train.trained_network import TrainedNetwork, from_checkpoint
from training.train.trainer import (
    Epoch,
    RunContext,
    balanced_loss,
    distillation_loss,
    infer,
    label_shares,
    loss_and_accuracy,
)
from training.train.training_views import TrainingViews

pytestmark = pytest.mark.trains

QUICK = replace(RECIPES["lecture-mlp"], epochs=1, learning_rate=3e-3)


SMALL_NET = replace(RECIPES["fashion-net"], network=lambda: SmallNet(channels=1), view=None)


@pytest.fixture(scope="module")
def parts(garments: TrainTest) -> tuple[LabelledImages, LabelledImages]:
    """The images to train on, and the validation images."""
    return garments.train.split(60)


def weights(trained: TrainedNetwork) -> Tensor:
    return nn.utils.parameters_to_vector(trained.network.parameters()).detach()


def assert_same(one: TrainedNetwork, other: TrainedNetwork) -> None:
    """Assert that two networks are equal to the last bit: weights, biases and running statistics."""
    states = [trained.network.state_dict() for trained in (one, other)]
    assert list(states[0]) == list(states[1])
    assert [name for name in states[0] if not torch.equal(states[0][name], states[1][name])] == []


def test_one_epoch_learns(parts):
    trained = train_network(QUICK, *parts)

    (epoch,) = trained.epochs
    assert epoch.number == 1
    assert epoch.val_accuracy > 0.8
    assert epoch.val_loss < epoch.loss
    assert epoch.seconds > 0
    assert epoch.learning_rate == 3e-3


PRETRAINED = "cifar-net", "fashion-large"
WIDE = "fashion-teacher"  # fashion-net again, but slower


@pytest.mark.parametrize(
    "recipe",
    [recipe for recipe in RECIPES.values() if recipe.epochs and recipe.name not in (*PRETRAINED, WIDE)],
    ids=lambda recipe: recipe.name,
)
def test_every_recipe_that_trains_learns_in_a_few_epochs(recipe, data_dir):
    train, validation = recipe.source.load(data_dir, limit=150).train.split(50)

    trained = train_network(replace(recipe, epochs=6, batch=16), train, validation)

    assert trained.epochs[-1].val_accuracy > 0.3
    assert trained.epochs[-1].loss < trained.epochs[0].loss


@pytest.mark.parametrize("name", PRETRAINED)
def test_a_pretrained_network_learns_in_a_few_steps(data_dir, name):
    recipe = RECIPES[name]
    train, validation = recipe.source.load(data_dir, limit=60).train.split(10)

    first, *_, last = train_network(replace(recipe, epochs=3, batch=10), train, validation).epochs

    assert last.loss < first.loss


def test_an_epochs_validation_metrics_are_those_of_the_network_on_the_validation_images(parts):
    validation = parts[1]

    trained = train_network(replace(QUICK, epochs=2), *parts)

    loss, accuracy = loss_and_accuracy(trained.forward_features(validation.pixels).logits, validation.labels)
    assert [epoch.number for epoch in trained.epochs] == [1, 2]
    assert trained.epochs[-1].val_loss == pytest.approx(loss)
    assert trained.epochs[-1].val_accuracy == pytest.approx(accuracy)


@pytest.mark.parametrize("recipe", [RECIPES["fashion-mlp"], RECIPES["cifar-cnn"], SMALL_NET], ids=["mlp", "cnn", "net"])
def test_the_seed_decides_the_weights(recipe, data_dir):
    recipe = replace(recipe, epochs=2, batch=32)
    train, validation = recipe.source.load(data_dir, limit=100).train.split(10)

    first, again, other = (train_network(replace(recipe, seed=seed), train, validation) for seed in (1, 1, 2))

    assert_same(first, again)
    assert not torch.equal(weights(first), weights(other))


def test_the_seed_decides_the_order_of_the_images_too(parts):
    def same_start() -> MLP:
        torch.manual_seed(0)
        return MLP()

    first, again, other = (
        weights(train_network(replace(QUICK, network=same_start, seed=seed), *parts)) for seed in (1, 1, 2)
    )

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_dropout_is_on_in_every_epoch_and_off_on_validation_images(parts):
    train, validation = parts
    modes = []

    class Watched(MLP):
        def forward(self, images: Tensor) -> Tensor:
            modes.append((len(images), self.training))
            return super().forward(images)

    train_network(replace(QUICK, network=Watched, epochs=2, batch=len(train)), train, validation)

    assert modes == [(len(train), True), (len(validation), False)] * 2


def test_a_trained_network_is_in_evaluation_mode_on_the_processor(parts):
    trained = train_network(replace(QUICK, network=lambda: MLP(dropout=0.5), mirrored=True), *parts)

    assert not any(module.training for module in trained.served.modules())
    assert {parameter.device for parameter in trained.served.parameters()} == {torch.device("cpu")}


def test_the_served_network_sees_the_flipped_image_too_if_the_recipe_says_so(parts):
    pixels = parts[1].pixels

    plain, mirrored = (train_network(replace(QUICK, mirrored=mirrored), *parts) for mirrored in (False, True))

    assert_same(plain, mirrored)
    assert isinstance(mirrored.served, Mirrored)
    expected = (plain.forward_features(pixels).logits + plain.forward_features(pixels.flip(2)).logits) / 2
    torch.testing.assert_close(mirrored.forward_features(pixels).logits, expected)


def test_the_report_counts_images_up_to_all_of_them(parts):
    reports = []

    trained = train_network(
        replace(QUICK, epochs=2, batch=16), *parts, RunContext(report=lambda *report: reports.append(report))
    )

    seen = [images for images, *_ in reports]
    assert seen == [160, 320, 340, 500, 660, 680]
    assert [reports[2][1:3], reports[5][1:3]] == [(epoch.loss, epoch.accuracy) for epoch in trained.epochs]


def test_each_epoch_is_passed_on_as_it_ends(parts):
    epochs: list[Epoch] = []

    trained = train_network(replace(QUICK, epochs=3), *parts, RunContext(on_epoch=epochs.append))

    assert tuple(epochs) == trained.epochs


@pytest.mark.parametrize(("images", "epochs"), [(1, 1), (1, 5), (32, 5), (33, 5), (160, 1)])
def test_a_one_cycle_recipe_trains_whatever_the_number_of_steps(garments, images, epochs):
    train, validation = garments.train.take(slice(images)), garments.train.take(slice(350, None))
    recipe = replace(RECIPES["fashion-mlp"], epochs=epochs, batch=32, normalize=QUICK.normalize)

    trained = train_network(recipe, train, validation)

    assert len(trained.epochs) == epochs


@pytest.mark.parametrize(
    "change",
    [{"label_smoothing": 0.2}, {"weight_decay": 0.5}, {"flip": True}, {"train_images": 100}, {"muon": 0.1}],
    ids=lambda change: next(iter(change)),
)
def test_each_field_of_a_recipe_changes_the_training(parts, change):
    plain = train_network(QUICK, *parts)

    changed = train_network(replace(QUICK, **change), *parts)

    assert not torch.equal(weights(plain), weights(changed))


def test_a_budget_of_minutes_ends_the_training_even_in_mid_epoch(parts):
    reports = []

    trained = train_network(
        replace(QUICK, minutes=1e-6), *parts, RunContext(report=lambda *report: reports.append(report))
    )

    assert [epoch.number for epoch in trained.epochs] == [1]
    assert [(images, left) for images, *_, left in reports] == [(QUICK.batch, 0)]


class Progress(MLP):
    """Records the progress that it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[float] = []

    def set_progress(self, progress: float) -> None:
        self.told.append(progress)


@pytest.mark.parametrize("length", [{"epochs": 3}, {"minutes": 0.01}], ids=str)
def test_a_network_is_told_its_progress_and_is_left_as_at_the_end(parts, length):
    network = Progress()

    train_network(replace(QUICK, network=lambda: network, **length), *parts)

    assert network.told == sorted(network.told)
    assert network.told[0] < 0.1
    assert network.told[-1] == 1
    assert len(network.told) > 3


class SlowlyEvaluated(Progress):
    """Takes a second for an evaluation after the first, which a budget counts on."""

    evaluations = 0

    def eval(self):
        self.evaluations += 1
        time.sleep(self.evaluations > 1)
        return super().eval()


def test_a_network_is_told_the_end_too_where_its_minutes_end_in_an_evaluation(parts):
    network = SlowlyEvaluated()

    train_network(replace(QUICK, network=lambda: network, minutes=0.01), *parts)

    assert network.told[-2] < 1
    assert network.told[-1] == 1


def test_a_training_that_validation_images_gain_nothing_from_ends_early_at_a_low_rate(parts):
    train, validation = parts
    misled = LabelledImages(train.pixels, (train.labels + 1) % 10)

    trained = train_network(replace(QUICK, schedule="linear", epochs=20, patience=0.2), misled, validation)

    rates = [epoch.learning_rate for epoch in trained.epochs]
    assert 4 < len(rates) < 10
    assert rates[-1] < QUICK.learning_rate / 10


class TestImbalance:
    """575 images, of which 15 have the rare label: shades of grey that overlap with those of the others."""

    def shades(self, dark: int, bright: int, seed: int) -> LabelledImages:
        generator = torch.Generator().manual_seed(seed)
        labels = (torch.randperm(dark + bright, generator=generator) >= dark).long()
        level = 90 + 60 * labels + 25 * torch.randn(len(labels), generator=generator)
        noise = 20 * torch.randn(len(labels), 16, 16, 1, generator=generator)
        return LabelledImages((level[:, None, None, None] + noise).clamp(0, 255).to(torch.uint8), labels)

    def test_own_images_of_a_rare_label_are_recognized(self):
        folder = ImageFolder("shades", Path(), ("dark", "bright"), (LabelledFile(("dark",), Path()),) * 575, 28, 1)
        recipe = replace(own_recipe(folder), epochs=3, network=lambda: SmallNet(1, 2), seed=2)

        trained = train_network(recipe, self.shades(560, 15, seed=1), self.shades(50, 2, seed=2))

        test = self.shades(100, 100, seed=3)
        given = trained.forward_features(test.pixels).logits.argmax(1)
        recalls = [float((given[test.labels == label] == label).float().mean()) for label in (0, 1)]
        assert min(recalls) > 0.6

    def test_where_the_labels_are_balanced_already_the_loss_stays_the_same(self):
        logits, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3

        balanced = balanced_loss(logits, labels, label_shares(labels, 3), smoothing=0.2)

        plain = functional.cross_entropy(logits, labels, label_smoothing=0.2, reduction="sum")
        torch.testing.assert_close(balanced, plain)

    def test_a_label_without_images_leaves_the_loss_finite(self):
        logits, labels = torch.zeros(4, 3), torch.tensor([0, 0, 0, 1])

        assert balanced_loss(logits, labels, label_shares(labels, 3), smoothing=0.2).isfinite()


def test_a_recipe_for_fewer_images_sees_only_the_first_of_them(parts):
    train, validation = parts

    limited, few = (
        train_network(replace(QUICK, train_images=100), train, validation),
        train_network(QUICK, train.take(slice(100)), validation),
    )

    assert_same(limited, few)


def test_augmentations_see_every_batch_in_their_order(parts):
    seen = []

    def first(images: Tensor, generator: torch.Generator) -> Tensor:
        seen.append(len(images))
        return images * 0

    def second(images: Tensor, generator: torch.Generator) -> Tensor:
        assert not images.any()
        return images

    train_network(replace(QUICK, batch=100, augmentations=(first, second)), *parts)

    assert seen == [100, 100, 100, 40]


@pytest.mark.parametrize(("turned", "augmentations"), [(True, ("flip_lr",)), (False, ())], ids=["rows", "columns"])
def test_images_are_flipped_later_on_if_that_does_not_change_what_they_show(turned, augmentations):
    generator, labels = torch.Generator().manual_seed(0), torch.arange(400) % 4
    pixels = torch.randint(0, 80, (400, 28, 28, 1), generator=generator, dtype=torch.uint8)
    for image, label in zip(pixels, labels.tolist(), strict=True):
        image[:, 7 * label : 7 * label + 7] += 150
    images = LabelledImages(pixels.transpose(1, 2).contiguous() if turned else pixels, labels)

    trained = train_network(replace(QUICK, epochs=10, flip="tried"), *images.split(60))

    assert trained.augmentations == augmentations


def seen_with_flips(train, validation, views=None) -> list[set[bytes]]:
    """Return the normalized images, as bytes, that a network sees in each of four epochs with flips."""
    seen: list[set[bytes]] = []

    def watch(images: Tensor, generator: torch.Generator) -> Tensor:
        seen.append({image.numpy().tobytes() for image in images})
        return images

    recipe = replace(QUICK, epochs=4, batch=len(train), flip=True, augmentations=(watch,))
    train_network(recipe, train, validation, views=views)
    return seen


def test_each_image_is_seen_as_it_is_and_flipped_in_turn(parts):
    train, _ = parts

    seen = seen_with_flips(*parts)

    images = Normalize.to_unit(train.pixels)(train.pixels)
    plain = [image.numpy().tobytes() for image in images]
    mirrored = [image.flip(2).contiguous().numpy().tobytes() for image in images]
    first = [image in seen[0] for image in plain]
    assert 0.4 * len(train) < sum(first) < 0.6 * len(train)
    for epoch, images_seen in enumerate(seen):
        as_they_are = first if epoch % 2 == 0 else [not was for was in first]
        assert [image in images_seen for image in plain] == as_they_are
        assert [image in images_seen for image in mirrored] == [not is_plain for is_plain in as_they_are]


def test_a_view_that_comes_again_is_seen_the_other_way_round(parts):
    pixels = parts[0].pixels

    seen = seen_with_flips(*parts, TrainingViews(torch.stack([pixels, 255 - pixels])))

    assert len(seen) == 4
    assert seen[0].isdisjoint(seen[2])
    assert seen[1].isdisjoint(seen[3])


def test_micro_batches_take_the_same_steps_as_the_whole_batch(parts):
    recipe = replace(QUICK, batch=100)
    whole = train_network(recipe, *parts)

    in_parts = train_network(recipe, *parts, RunContext(micro_batch=30))

    torch.testing.assert_close(weights(in_parts), weights(whole), rtol=0, atol=1e-5)
    assert in_parts.epochs[0].loss == pytest.approx(whole.epochs[0].loss, rel=1e-4)


def test_the_whitening_is_computed_from_the_images_and_stays(garments):
    train, validation = garments.train.split(40)
    initialized = SmallNet(channels=1)

    trained = train_network(replace(SMALL_NET, epochs=2, batch=100), train, validation)

    initialized.init_from_data(trained.normalize(train.pixels))
    torch.testing.assert_close(trained.network[0].weight, initialized[0].weight)


def test_compiled_training_goes_through_the_compiled_network(parts, monkeypatch):
    compiled, traced = [], torch.compile

    def without_the_compiler(network: nn.Module) -> Callable[..., Tensor]:
        compiled.append(network)
        return traced(network, backend="eager")  # compiling code for the processor would take half a minute

    monkeypatch.setattr(torch, "compile", without_the_compiler)

    trained = train_network(replace(QUICK, batch=170), *parts, RunContext(compiled=True))

    assert compiled == [trained.network]
    torch.testing.assert_close(weights(trained), weights(train_network(replace(QUICK, batch=170), *parts)))


def test_nothing_is_compiled_by_default(parts, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network: pytest.fail("compiled"))

    assert train_network(QUICK, *parts).epochs


def test_inference_in_batches_gives_what_one_batch_gives():
    pixels = torch.randint(0, 256, (2_500, 28, 28, 1), dtype=torch.uint8)
    network, normalize = MLP(dropout=0.5).train(), Normalize.to_unit(pixels)

    logits = infer(network, normalize, pixels, CPU_FLOAT32)

    assert logits.shape == (2_500, 10)
    assert torch.allclose(logits, network.eval()(normalize(pixels)), atol=1e-6)


def test_logits_are_float32_where_the_network_computes_in_bf16():
    pixels = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    bf16 = Precision(torch.device("cpu"), torch.bfloat16, torch.channels_last)

    logits = infer(CNN(), Normalize.to_unit(pixels), pixels, bf16)

    assert logits.dtype == torch.float32  # losses of bf16 logits have three digits, too few to compare


def test_loss_and_accuracy_are_mean_cross_entropy_and_the_share_of_correct_labels():
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), torch.tensor([0, 1, 1])

    loss, accuracy = loss_and_accuracy(logits, labels)

    assert loss == pytest.approx(float(functional.cross_entropy(logits, labels)))
    assert accuracy == pytest.approx(2 / 3)


def test_a_checkpoint_restores_the_logits_of_the_network_that_was_saved(tmp_path, parts):
    recipe = replace(QUICK, mirrored=True)
    trained = train_network(recipe, *parts)
    file = tmp_path / "weights.pt"
    torch.save(trained.network.state_dict(), file)

    restored = from_checkpoint(recipe, parts[0], file)

    assert torch.equal(
        restored.forward_features(parts[1].pixels).logits, trained.forward_features(parts[1].pixels).logits
    )
    assert restored.epochs == ()
    assert not restored.served.training


def test_the_checkpoint_of_another_network_is_refused_by_its_title(tmp_path, parts):
    file = tmp_path / "trained.pt"
    train_network(QUICK, *parts).save(QUICK, parts[0], file)

    def other():
        network = QUICK.network()
        network.title = "another backbone of the same size"
        return network

    with pytest.raises(CheckpointError, match=r"network title .*, not another backbone of the same size; name"):
        from_checkpoint(replace(QUICK, network=other), parts[0], file)


def test_the_views_take_turns(parts):
    train, validation = parts
    views = torch.stack([train.pixels, 255 - train.pixels])
    seen = []

    def watch(images, _):
        seen.append(float(images.mean()))
        return images

    recipe = replace(QUICK, epochs=3, batch=len(train), augmentations=(watch,))
    train_network(recipe, train, validation, RunContext(micro_batch=len(train)), TrainingViews(views))

    assert seen[0] == pytest.approx(seen[2], abs=1e-4)
    assert seen[1] > seen[0] + 0.5


class TestTeacher:
    def test_the_student_follows_it_if_the_labels_are_wrong(self, parts):
        train, validation = parts
        misled = LabelledImages(train.pixels, (train.labels + 1) % 10)
        soft = functional.one_hot(train.labels, 10).float()

        alone, taught = (
            train_network(QUICK, misled, validation),
            train_network(QUICK, misled, validation, views=TrainingViews(train.pixels[None], soft[None])),
        )

        assert alone.epochs[-1].val_accuracy < 0.1
        assert taught.epochs[-1].val_accuracy > 0.8

    def test_the_labels_count_if_it_knows_nothing(self, parts):
        train, validation = parts

        trained = train_network(
            replace(QUICK, epochs=2),
            train,
            validation,
            views=TrainingViews(train.pixels[None], torch.full((1, len(train), 10), 0.1)),
        )

        assert trained.epochs[-1].val_accuracy > 0.8

    def test_a_better_trained_one_helps_a_student_with_noisy_labels(self, parts):
        train, validation = parts
        wise = train_network(replace(QUICK, epochs=5), train, validation)
        noisy = LabelledImages(train.pixels, torch.where(torch.arange(len(train)) % 2 > 0, train.labels, 0))

        alone = train_network(QUICK, noisy, validation)
        soft = wise.forward_features(train.pixels).logits.softmax(1)
        taught = train_network(QUICK, noisy, validation, views=TrainingViews(train.pixels[None], soft[None]))

        assert taught.epochs[-1].val_loss < alone.epochs[-1].val_loss / 2


class TestDistillation:
    LOGITS = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))

    def test_the_loss_is_0_when_the_student_agrees_with_the_teacher(self):
        soft = self.LOGITS.softmax(1)

        assert float(distillation_loss(self.LOGITS, soft)) == pytest.approx(0, abs=1e-5)
        assert float(distillation_loss(self.LOGITS + 3, soft)) == pytest.approx(0, abs=1e-5)

    def test_the_loss_falls_as_the_student_comes_nearer_to_the_teacher(self):
        student = torch.randn(6, 10, generator=torch.Generator().manual_seed(1))

        ways = [student + share * (self.LOGITS - student) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]

        losses = [float(distillation_loss(logits, self.LOGITS.softmax(1))) for logits in ways]
        assert losses == sorted(losses, reverse=True)
        assert losses[0] > 100 * losses[-1]

    def test_the_loss_is_the_sum_over_the_images(self):
        soft = self.LOGITS.flip(0).softmax(1)

        each = [float(distillation_loss(self.LOGITS[[place]], soft[[place]])) for place in range(6)]

        assert float(distillation_loss(self.LOGITS, soft)) == pytest.approx(sum(each), rel=1e-5)

    def test_the_loss_is_the_one_worked_out_by_hand(self):
        # At temperature 2, odds of 9:1 soften to 3:1; the student says 1:1.
        divergence = 0.75 * torch.tensor(0.75 / 0.5).log() + 0.25 * torch.tensor(0.25 / 0.5).log()

        loss = distillation_loss(torch.zeros(1, 2), torch.tensor([[0.9, 0.1]]))

        assert float(loss) == pytest.approx(4 * float(divergence), rel=1e-5)

    def test_a_teacher_with_probabilities_of_0_and_1_can_be_learned_from(self):
        logits = torch.zeros(1, 3, requires_grad=True)

        distillation_loss(logits, torch.tensor([[0.0, 1.0, 0.0]])).backward()

        assert logits.grad.isfinite().all()
        assert float(logits.grad[0, 1]) < 0


@dataclass(frozen=True)
class Case:
    """A training with state that must be resumed."""

    recipe: Recipe
    taught: bool = False

    def train(self, data: TrainTest, context: RunContext) -> TrainedNetwork:
        train, validation = data.train.take(slice(120)).split(20)
        soft = functional.one_hot(train.labels.flip(0), 10).float()
        views = TrainingViews(train.pixels[None], soft[None]) if self.taught else None
        return train_network(self.recipe, train, validation, context, views)


@pytest.mark.parametrize(
    "case",
    [
        Case(replace(RECIPES["fashion-mlp"], epochs=4, batch=32)),
        Case(replace(RECIPES["lecture-cnn"], epochs=4, flip=True)),
        Case(replace(SMALL_NET, epochs=4, batch=32)),
        Case(replace(SMALL_NET, epochs=4, batch=32, flip="tried")),
        Case(replace(RECIPES["fashion-mlp"], epochs=4, batch=32), taught=True),
    ],
    ids=["dropout and Muon", "flips and AdamW", "batch norm and whitening", "flips tried", "a teacher"],
)
class TestResume:
    @pytest.fixture
    def data(self, case: Case, data_dir: Path) -> TrainTest:
        return case.recipe.source.load(data_dir)

    @pytest.fixture
    def saved(self, tmp_path: Path) -> SavedRun:
        return SavedRun(tmp_path / "run.pt", {"seed": 1})

    @pytest.mark.parametrize("when", ["in an epoch", "after an epoch"])
    def test_an_interrupted_training_ends_as_an_uninterrupted_one(self, case, data, saved, when):
        def report(images: int, *_: float) -> None:
            if when == "in an epoch" and images > 2 * 100:
                raise KeyboardInterrupt

        def on_epoch(epoch: Epoch) -> None:
            if when == "after an epoch" and epoch.number == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            case.train(data, RunContext(report=report, on_epoch=on_epoch, saved=saved))
        torch.manual_seed(99)
        resumed = case.train(data, RunContext(saved=saved, resume=True))

        whole = case.train(data, RunContext())
        assert_same(resumed, whole)
        assert [replace(epoch, seconds=0) for epoch in resumed.epochs] == [
            replace(epoch, seconds=0) for epoch in whole.epochs
        ]

    def test_a_finished_training_is_loaded_without_another_epoch(self, case, data, saved):
        finished = case.train(data, RunContext(saved=saved))

        again = case.train(
            data,
            RunContext(saved=saved, resume=True, on_epoch=lambda epoch: pytest.fail(f"epoch {epoch.number} again")),
        )

        assert_same(again, finished)
        assert again.epochs == finished.epochs


def test_a_resumed_training_passes_on_the_remaining_epochs_alone(parts, tmp_path):
    recipe, saved = replace(QUICK, epochs=3), SavedRun(tmp_path / "run.pt", {})
    numbers: list[int] = []

    def on_epoch(epoch: Epoch) -> None:
        numbers.append(epoch.number)
        if epoch.number == 2 and numbers.count(2) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_network(recipe, *parts, RunContext(saved=saved, on_epoch=on_epoch))
    train_network(recipe, *parts, RunContext(saved=saved, on_epoch=on_epoch, resume=True))

    assert numbers == [1, 2, 2, 3]


def test_a_training_that_saw_more_gpus_is_resumed_with_those_that_are_there(parts, tmp_path, monkeypatch):
    saved, gpus = SavedRun(tmp_path / "run.pt", {}), torch.cuda.device_count()
    train_network(QUICK, *parts, RunContext(saved=saved))
    state = saved.load()
    saved.save({**state, "trainer": {**state["trainer"], "dropout on GPUs": [torch.get_rng_state()] * (gpus + 1)}})
    restored: list[int] = []
    monkeypatch.setattr("torch.cuda.random.set_rng_state", lambda _, gpu: restored.append(gpu))

    train_network(QUICK, *parts, RunContext(saved=saved, resume=True))

    assert restored == list(range(gpus))


def test_without_a_saved_training_there_is_nothing_to_resume(parts, tmp_path):
    with pytest.raises(CheckpointError, match="no saved training to resume"):
        train_network(QUICK, *parts, RunContext(saved=SavedRun(tmp_path / "run.pt", {}), resume=True))


def test_a_training_starts_anew_without_resume(parts, tmp_path):
    saved = SavedRun(tmp_path / "run.pt", {})
    first = train_network(QUICK, *parts, RunContext(saved=saved))

    second = train_network(QUICK, *parts, RunContext(saved=saved))

    assert_same(first, second)
    assert len(saved.load()["epochs"]) == 1
