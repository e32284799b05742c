from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.datasets.images import DataSet, Images
from training.networks import CNN, MLP, Mirrored, Net
from training.networks.normalisation import Normalise
from training.recipes import RECIPES, Recipe
from training.train import Fitted, course, fit, from_checkpoint
from training.train.checkpoint import CheckpointError, SavedRun
from training.train.course import Circumstances, Epoch, distillation, infer, score
from training.train.precision import PLAIN

QUICK = replace(RECIPES["lecture-mlp"], epochs=1, learning_rate=3e-3)


class SmallNet(Net):
    """The strong compact network in everything but its size."""

    widths = (24, 32, 32)


SMALL_NET = replace(RECIPES["cifar-net"], network=lambda: SmallNet(channels=3))


@pytest.fixture(scope="module")
def parts(garments: DataSet) -> tuple[Images, Images]:
    """Images to train on and images held out."""
    return garments.train.split(60)


def weights(fitted: Fitted) -> Tensor:
    return nn.utils.parameters_to_vector(fitted.network.parameters()).detach()


def assert_same(one: Fitted, other: Fitted) -> None:
    """Hold two networks to the same bits: weights, biases and running statistics."""
    states = [fitted.network.state_dict() for fitted in (one, other)]
    assert list(states[0]) == list(states[1])
    assert [name for name in states[0] if not torch.equal(states[0][name], states[1][name])] == []


def test_one_epoch_learns(parts):
    fitted = fit(QUICK, *parts)

    (epoch,) = fitted.epochs
    assert epoch.number == 1
    assert epoch.held_accuracy > 0.8
    assert epoch.held_loss < epoch.loss
    assert epoch.seconds > 0
    assert epoch.learning_rate == 3e-3


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_learns_in_a_few_epochs(recipe, data_dir):
    train, held = recipe.source.load(data_dir, limit=150).train.split(50)

    fitted = fit(replace(recipe, epochs=6, batch=16), train, held)

    assert fitted.epochs[-1].held_accuracy > 0.3
    assert fitted.epochs[-1].loss < fitted.epochs[0].loss


def test_what_an_epoch_ended_on_is_what_the_network_says_of_the_held_out_images(parts):
    held = parts[1]

    fitted = fit(replace(QUICK, epochs=2), *parts)

    loss, accuracy = score(fitted.observe(held.pixels).logits, held.labels)
    assert [epoch.number for epoch in fitted.epochs] == [1, 2]
    assert fitted.epochs[-1].held_loss == pytest.approx(loss)
    assert fitted.epochs[-1].held_accuracy == pytest.approx(accuracy)


@pytest.mark.parametrize("recipe", [RECIPES["fashion-mlp"], RECIPES["cifar-cnn"], SMALL_NET], ids=["mlp", "cnn", "net"])
def test_the_seed_decides_the_weights(recipe, data_dir):
    recipe = replace(recipe, epochs=2, batch=32)
    train, held = recipe.source.load(data_dir, limit=100).train.split(10)

    first, again, other = (fit(replace(recipe, seed=seed), train, held) for seed in (1, 1, 2))

    assert_same(first, again)
    assert not torch.equal(weights(first), weights(other))


def test_the_seed_decides_the_order_of_the_images_too(parts):
    def same_start() -> MLP:
        torch.manual_seed(0)
        return MLP()

    first, again, other = (weights(fit(replace(QUICK, network=same_start, seed=seed), *parts)) for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_dropout_works_in_every_epoch_and_never_on_held_out_images(parts):
    train, held = parts
    modes = []

    class Watched(MLP):
        def forward(self, images: Tensor) -> Tensor:
            modes.append((len(images), self.training))
            return super().forward(images)

    fit(replace(QUICK, network=Watched, epochs=2, batch=len(train)), train, held)

    assert modes == [(len(train), True), (len(held), False)] * 2


def test_a_fitted_network_is_in_evaluation_mode_on_the_processor(parts):
    fitted = fit(replace(QUICK, network=lambda: MLP(dropout=0.5), mirrored=True), *parts)

    assert not any(module.training for module in fitted.answering.modules())
    assert {parameter.device for parameter in fitted.answering.parameters()} == {torch.device("cpu")}


def test_what_answers_sees_the_mirror_image_too_where_the_recipe_says_so(parts):
    pixels = parts[1].pixels

    plain, mirrored = (fit(replace(QUICK, mirrored=mirrored), *parts) for mirrored in (False, True))

    assert_same(plain, mirrored)
    assert isinstance(mirrored.answering, Mirrored)
    expected = (plain.observe(pixels).logits + plain.observe(pixels.flip(2)).logits) / 2
    torch.testing.assert_close(mirrored.observe(pixels).logits, expected)


def test_the_report_counts_images_up_to_all_of_them(parts):
    reports = []

    fitted = fit(
        replace(QUICK, epochs=2, batch=16), *parts, Circumstances(report=lambda *report: reports.append(report))
    )

    seen = [images for images, _, _ in reports]
    assert seen == [160, 320, 340, 500, 660, 680]
    assert [reports[2][1:], reports[5][1:]] == [(epoch.loss, epoch.accuracy) for epoch in fitted.epochs]


def test_each_epoch_is_told_as_it_ends(parts):
    told: list[Epoch] = []

    fitted = fit(replace(QUICK, epochs=3), *parts, Circumstances(ended=told.append))

    assert tuple(told) == fitted.epochs


@pytest.mark.parametrize(("images", "epochs"), [(1, 1), (1, 5), (32, 5), (33, 5), (160, 1)])
def test_a_one_cycle_recipe_trains_whatever_the_number_of_steps(garments, images, epochs):
    train, held = garments.train.take(slice(images)), garments.train.take(slice(350, None))
    recipe = replace(RECIPES["fashion-mlp"], epochs=epochs, batch=32, normalise=QUICK.normalise)

    fitted = fit(recipe, train, held)

    assert len(fitted.epochs) == epochs


@pytest.mark.parametrize(
    "change",
    [{"label_smoothing": 0.2}, {"weight_decay": 0.5}, {"flip": True}, {"images": 100}, {"muon": 0.1}],
    ids=lambda change: next(iter(change)),
)
def test_what_a_recipe_says_is_heeded(parts, change):
    plain = fit(QUICK, *parts)

    changed = fit(replace(QUICK, **change), *parts)

    assert not torch.equal(weights(plain), weights(changed))


def test_a_recipe_for_fewer_images_sees_only_the_first_of_them(parts):
    train, held = parts

    limited, few = fit(replace(QUICK, images=100), train, held), fit(QUICK, train.take(slice(100)), held)

    assert_same(limited, few)


def test_augmentations_see_every_batch_in_their_order(parts):
    seen = []

    def first(images: Tensor, generator: torch.Generator) -> Tensor:
        seen.append(len(images))
        return images * 0

    def second(images: Tensor, generator: torch.Generator) -> Tensor:
        assert not images.any()
        return images

    fit(replace(QUICK, batch=100, augmentations=(first, second)), *parts)

    assert seen == [100, 100, 100, 40]


def test_each_image_is_seen_as_it_is_and_mirrored_in_turn(parts):
    train, held = parts
    seen: list[set[bytes]] = []

    def watch(images: Tensor, generator: torch.Generator) -> Tensor:
        seen.append({image.numpy().tobytes() for image in images})
        return images

    fit(replace(QUICK, epochs=4, batch=len(train), flip=True, augmentations=(watch,)), train, held)

    images = Normalise.to_unit(train.pixels)(train.pixels)
    plain = [image.numpy().tobytes() for image in images]
    mirrored = [image.flip(2).contiguous().numpy().tobytes() for image in images]
    first = [image in seen[0] for image in plain]
    assert 0.4 * len(train) < sum(first) < 0.6 * len(train)
    for epoch, images_seen in enumerate(seen):
        as_they_are = first if epoch % 2 == 0 else [not was for was in first]
        assert [image in images_seen for image in plain] == as_they_are
        assert [image in images_seen for image in mirrored] == [not is_plain for is_plain in as_they_are]


def test_a_batch_that_goes_through_in_parts_takes_the_same_steps(parts, monkeypatch):
    recipe = replace(QUICK, batch=100)
    whole = fit(recipe, *parts)
    monkeypatch.setattr(course, "PART", 30)

    in_parts = fit(recipe, *parts)

    torch.testing.assert_close(weights(in_parts), weights(whole), rtol=0, atol=1e-5)
    assert in_parts.epochs[0].loss == pytest.approx(whole.epochs[0].loss, rel=1e-4)


def test_the_whitening_is_that_of_the_images_and_stays(things):
    train, held = things.train.split(40)
    looked = SmallNet(channels=3)

    fitted = fit(replace(SMALL_NET, epochs=2, batch=100), train, held)

    looked.look_at(fitted.normalise(train.pixels))
    torch.testing.assert_close(fitted.network[0].weight, looked[0].weight)


def test_compiled_training_goes_through_the_compiled_network(parts, monkeypatch):
    compiled, traced = [], torch.compile

    def without_the_compiler(network: nn.Module) -> Callable[..., Tensor]:
        compiled.append(network)
        return traced(network, backend="eager")  # the code made for the processor would take half a minute

    monkeypatch.setattr(torch, "compile", without_the_compiler)

    fitted = fit(replace(QUICK, batch=170), *parts, Circumstances(compiled=True))

    assert compiled == [fitted.network]
    torch.testing.assert_close(weights(fitted), weights(fit(replace(QUICK, batch=170), *parts)))


def test_nothing_is_compiled_unasked(parts, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network: pytest.fail("compiled"))

    assert fit(QUICK, *parts).epochs


def test_inference_in_batches_gives_what_one_batch_gives():
    pixels = torch.randint(0, 256, (2_500, 28, 28, 1), dtype=torch.uint8)
    network, normalise = MLP(dropout=0.5).train(), Normalise.to_unit(pixels)

    logits = infer(network, normalise, pixels, PLAIN)

    assert logits.shape == (2_500, 10)
    assert torch.allclose(logits, network.eval()(normalise(pixels)), atol=1e-6)


def test_a_score_is_mean_cross_entropy_and_accuracy():
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), torch.tensor([0, 1, 1])

    loss, accuracy = score(logits, labels)

    assert loss == pytest.approx(float(functional.cross_entropy(logits, labels)))
    assert accuracy == pytest.approx(2 / 3)


def test_a_checkpoint_gives_back_the_answers_of_the_network_that_was_saved(tmp_path, parts):
    recipe = replace(QUICK, mirrored=True)
    fitted = fit(recipe, *parts)
    file = tmp_path / "weights.pt"
    torch.save(fitted.network.state_dict(), file)

    restored = from_checkpoint(recipe, parts[0], file)

    assert torch.equal(restored.observe(parts[1].pixels).logits, fitted.observe(parts[1].pixels).logits)
    assert restored.epochs == ()
    assert not restored.answering.training


class TestTeacher:
    def test_it_is_followed_where_the_labels_are_wrong(self, parts):
        train, held = parts
        misled = Images(train.pixels, (train.labels + 1) % 10)
        soft = functional.one_hot(train.labels, 10).float()

        alone, taught = fit(QUICK, misled, held), fit(QUICK, misled, held, soft=soft)

        assert alone.epochs[-1].held_accuracy < 0.1
        assert taught.epochs[-1].held_accuracy > 0.8

    def test_the_labels_count_where_it_knows_nothing(self, parts):
        train, held = parts

        fitted = fit(replace(QUICK, epochs=2), train, held, soft=torch.full((len(train), 10), 0.1))

        assert fitted.epochs[-1].held_accuracy > 0.8

    def test_one_who_knows_better_than_a_student_of_few_images_helps(self, parts):
        train, held = parts
        wise = fit(replace(QUICK, epochs=5), train, held)
        noisy = Images(train.pixels, torch.where(torch.arange(len(train)) % 2 > 0, train.labels, 0))

        alone = fit(QUICK, noisy, held)
        taught = fit(QUICK, noisy, held, soft=wise.observe(train.pixels).logits.softmax(1))

        assert taught.epochs[-1].held_loss < alone.epochs[-1].held_loss / 2


class TestDistillation:
    LOGITS = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))

    def test_it_is_nothing_when_the_student_answers_as_the_teacher(self):
        soft = self.LOGITS.softmax(1)

        assert float(distillation(self.LOGITS, soft)) == pytest.approx(0, abs=1e-5)
        assert float(distillation(self.LOGITS + 3, soft)) == pytest.approx(0, abs=1e-5)

    def test_it_falls_as_the_student_comes_nearer_to_the_teacher(self):
        student = torch.randn(6, 10, generator=torch.Generator().manual_seed(1))

        ways = [student + share * (self.LOGITS - student) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]

        losses = [float(distillation(logits, self.LOGITS.softmax(1))) for logits in ways]
        assert losses == sorted(losses, reverse=True)
        assert losses[0] > 100 * losses[-1]

    def test_it_is_the_sum_over_the_images(self):
        soft = self.LOGITS.flip(0).softmax(1)

        each = [float(distillation(self.LOGITS[[place]], soft[[place]])) for place in range(6)]

        assert float(distillation(self.LOGITS, soft)) == pytest.approx(sum(each), rel=1e-5)

    def test_it_is_the_one_worked_out_by_hand(self):
        # At temperature 2, odds of 9:1 soften to 3:1; the student says 1:1.
        divergence = 0.75 * torch.tensor(0.75 / 0.5).log() + 0.25 * torch.tensor(0.25 / 0.5).log()

        loss = distillation(torch.zeros(1, 2), torch.tensor([[0.9, 0.1]]))

        assert float(loss) == pytest.approx(4 * float(divergence), rel=1e-5)

    def test_a_teacher_that_is_entirely_sure_can_be_learned_from(self):
        logits = torch.zeros(1, 3, requires_grad=True)

        distillation(logits, torch.tensor([[0.0, 1.0, 0.0]])).backward()

        assert logits.grad.isfinite().all()
        assert float(logits.grad[0, 1]) < 0


@dataclass(frozen=True)
class Case:
    """A training in which something goes on that must be taken up where it was."""

    recipe: Recipe
    taught: bool = False

    def fit(self, data: DataSet, around: Circumstances) -> Fitted:
        train, held = data.train.take(slice(120)).split(20)
        soft = functional.one_hot(train.labels.flip(0), 10).float() if self.taught else None
        return fit(self.recipe, train, held, around, soft)


@pytest.mark.parametrize(
    "case",
    [
        Case(replace(RECIPES["fashion-mlp"], epochs=4, batch=32)),
        Case(replace(RECIPES["lecture-cnn"], network=lambda: CNN(dropout=0.3), epochs=4, flip=True, muon=0.1)),
        Case(replace(SMALL_NET, epochs=4, batch=32)),
        Case(replace(RECIPES["fashion-mlp"], epochs=4, batch=32), taught=True),
    ],
    ids=["dropout and AdamW", "dropout and Muon", "all that a net needs", "a teacher"],
)
class TestResume:
    @pytest.fixture
    def data(self, case: Case, data_dir: Path) -> DataSet:
        return case.recipe.source.load(data_dir)

    @pytest.fixture
    def saved(self, tmp_path: Path) -> SavedRun:
        return SavedRun(tmp_path / "run.pt", {"seed": 1})

    @pytest.mark.parametrize("when", ["in an epoch", "after an epoch"])
    def test_a_training_that_was_interrupted_ends_as_one_that_was_not(self, case, data, saved, when):
        def report(images: int, loss: float, accuracy: float) -> None:
            if when == "in an epoch" and images > 2 * 100:
                raise KeyboardInterrupt

        def ended(epoch: Epoch) -> None:
            if when == "after an epoch" and epoch.number == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            case.fit(data, Circumstances(report=report, ended=ended, saved=saved))
        torch.manual_seed(99)
        resumed = case.fit(data, Circumstances(saved=saved, resume=True))

        whole = case.fit(data, Circumstances())
        assert_same(resumed, whole)
        assert [replace(epoch, seconds=0) for epoch in resumed.epochs] == [
            replace(epoch, seconds=0) for epoch in whole.epochs
        ]

    def test_a_training_that_was_finished_is_given_back_without_another_epoch(self, case, data, saved):
        finished = case.fit(data, Circumstances(saved=saved))

        again = case.fit(
            data,
            Circumstances(saved=saved, resume=True, ended=lambda epoch: pytest.fail(f"epoch {epoch.number} again")),
        )

        assert_same(again, finished)
        assert again.epochs == finished.epochs


def test_only_the_epochs_that_are_left_are_told(parts, tmp_path):
    recipe, saved = replace(QUICK, epochs=3), SavedRun(tmp_path / "run.pt", {})
    told: list[int] = []

    def ended(epoch: Epoch) -> None:
        told.append(epoch.number)
        if epoch.number == 2 and told.count(2) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(recipe, *parts, Circumstances(saved=saved, ended=ended))
    fit(recipe, *parts, Circumstances(saved=saved, ended=ended, resume=True))

    assert told == [1, 2, 2, 3]


def test_without_a_saved_training_there_is_nothing_to_resume(parts, tmp_path):
    with pytest.raises(CheckpointError, match="there is no training to resume"):
        fit(QUICK, *parts, Circumstances(saved=SavedRun(tmp_path / "run.pt", {}), resume=True))


def test_a_training_begins_anew_unless_it_is_to_be_resumed(parts, tmp_path):
    saved = SavedRun(tmp_path / "run.pt", {})
    first = fit(QUICK, *parts, Circumstances(saved=saved))

    second = fit(QUICK, *parts, Circumstances(saved=saved))

    assert_same(first, second)
    assert len(saved.load()["epochs"]) == 1
