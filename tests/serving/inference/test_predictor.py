"""The predictor decodes quick uploads in the event loop and others in a process, and tells its observer."""

import io
from functools import partial

import gevent
import numpy as np
import pytest
from graphs import error_for_plain_images, infinity_for_plain_images, nan_for_plain_images
from msgspec import UNSET
from pictures import noise, quarters, saved
from PIL import Image

from serving.concurrency import SerialExecutor
from serving.errors import BadRequest, Refusal, TooManyPixels, UnreadableImage
from serving.inference.options import PredictOptions
from serving.inference.predictor import Predictor
from serving.inference.timings import Timings
from serving.model.classifier import Outputs
from serving.repository.repository import Repository

ANY_MODEL = PredictOptions()


class CountingExecutor(SerialExecutor):
    """Counts its jobs."""

    jobs = 0

    def run(self, work):
        self.jobs += 1
        return super().run(work)


class Recorder:
    """Keeps everything that an observer is told."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int, Outputs]] = []
        self.requests: list[Timings] = []
        self.refusals: list[tuple[str, str, Refusal, float]] = []
        self.ended: list[str] = []

    def on_decoding_ended(self, reason):
        self.ended.append(reason)

    def on_batch(self, classifier, pixels, outputs, seconds):
        self.batches.append((classifier.card.name, len(pixels), outputs))

    def on_request(self, timings):
        self.requests.append(timings)

    def on_refusal(self, *refusal):
        self.refusals.append(refusal)


@pytest.fixture(scope="module")
def repository(models):
    return Repository(models)


@pytest.fixture
def executor():
    return CountingExecutor(5.0)


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def predictor(repository, executor, recorder):
    return Predictor(repository, 2_000_000, executor, recorder)


def padded(size):
    """Return a PNG of few pixels whose file has this many bytes."""
    return saved(noise(), "PNG").ljust(size, b"\0")


def blank(width, height):
    """Return a small file of this many pixels."""
    return saved(Image.new("L", (width, height)), "PNG")


def test_a_small_file_of_few_pixels_is_decoded_in_the_event_loop(predictor, executor, image):
    predictor.predict([image("bag"), saved(noise(), "JPEG")], ANY_MODEL)

    assert executor.jobs == 0


@pytest.mark.parametrize(("size", "jobs"), [(100_000, 0), (100_001, 1)])
def test_a_file_over_100_kb_goes_to_the_executor_whatever_its_pixels(predictor, executor, size, jobs):
    upload = padded(size)
    assert len(upload) == size

    (item,) = predictor.predict([upload], ANY_MODEL).items

    assert executor.jobs == jobs
    assert item.model == "cifar-cnn"


@pytest.mark.parametrize(("height", "jobs"), [(1000, 0), (1001, 1)])
def test_an_image_over_1_megapixel_goes_to_the_executor_however_small_its_file(predictor, executor, height, jobs):
    upload = blank(1000, height)
    assert len(upload) < 10_000

    (item,) = predictor.predict([upload], ANY_MODEL).items

    assert executor.jobs == jobs
    assert item.model == "fashion-mlp"


@pytest.mark.parametrize("model", ["cifar-cnn", "fashion-mlp", None])
def test_a_photo_is_decoded_as_large_as_a_small_input_needs(predictor, model):
    options = PredictOptions(model)
    photo = saved(quarters(1600, 1200), "JPEG")

    (prepared,) = predictor.prepare([photo], predictor.named(options), Timings())

    assert prepared.input.size == (400, 300)
    assert prepared.input.pixels.shape[:2] == (prepared.classifier.height, prepared.classifier.width)


def test_the_pixels_of_a_photo_that_is_scaled_count_in_full(predictor):
    (item,) = predictor.predict([saved(quarters(2000, 1001), "JPEG")], ANY_MODEL).items

    assert isinstance(item, TooManyPixels)


@pytest.mark.parametrize("upload", [b"", b"hello", bytes(100_001)])
def test_a_file_that_is_not_an_image_is_refused(predictor, upload):
    (item,) = predictor.predict([upload], ANY_MODEL).items

    assert isinstance(item, UnreadableImage if upload else BadRequest)


def test_other_greenlets_have_their_turn_between_the_images_of_a_long_request(predictor):
    turns = []
    other = gevent.spawn(lambda: [turns.append(gevent.sleep(0)) for _ in range(1_000)])

    predictor.prepare([blank(60, 60)] * 2_000, None, Timings())

    other.kill()
    assert turns


def test_an_image_of_too_many_pixels_is_refused_and_not_preprocessed(predictor, executor):
    (item,) = predictor.predict([blank(2000, 1001)], ANY_MODEL).items

    assert executor.jobs == 0
    assert isinstance(item, TooManyPixels)


def test_the_images_of_one_model_are_one_batch_and_the_observer_is_told_of_it(predictor, recorder, image):
    predictions = predictor.predict([image("bag"), saved(noise(), "PNG"), b"", image("sandal")], ANY_MODEL)

    assert [(name, images) for name, images, _ in recorder.batches] == [("fashion-mlp", 2), ("cifar-cnn", 1)]
    assert recorder.requests == [predictions.timings]
    assert [(run.classifier.card.name, run.images) for run in predictions.timings.runs] == [
        ("fashion-mlp", 2), ("cifar-cnn", 1),
    ]  # fmt: skip
    labels = [np.argmax(probabilities) for _, _, outputs in recorder.batches for probabilities in outputs.probabilities]
    bag, colourful, empty, sandal = predictions.items
    assert [bag.index, sandal.index, colourful.index] == labels
    assert isinstance(empty, Refusal)


def test_a_refusal_is_observed_under_the_version_that_would_have_answered(predictor, recorder):
    refusal = UnreadableImage("damaged")

    predictor.record_refusal(PredictOptions("fashion-mlp"), refusal, 0.5)
    predictor.record_refusal(PredictOptions("fashion-mlp", "2"), refusal, 0.25)

    assert recorder.refusals == [("fashion-mlp", "2", refusal, 0.5), ("fashion-mlp", "2", refusal, 0.25)]


@pytest.mark.parametrize("options", [ANY_MODEL, PredictOptions("hats"), PredictOptions("fashion-mlp", "7")])
def test_a_refusal_of_a_request_that_does_not_name_an_existing_model_is_not_observed(predictor, recorder, options):
    predictor.record_refusal(options, UnreadableImage("damaged"), 0.5)

    assert recorder.refusals == []


def test_a_predictor_needs_no_observer(repository, executor, image):
    (item,) = Predictor(repository, 10**6, executor).predict([image("bag")], ANY_MODEL).items

    assert item.label == "Bag"


@pytest.mark.parametrize("edit", [nan_for_plain_images, infinity_for_plain_images])
def test_an_image_for_which_the_graph_gives_no_number_is_refused_and_others_are_answered(folder, forge, image, edit):
    forge("fashion-mlp/3", edit=edit)
    predictor = Predictor(Repository(folder), 2_000_000, SerialExecutor(5.0))

    refused, answered = predictor.predict([saved(Image.new("L", (28, 28)), "PNG"), image("bag")], ANY_MODEL).items

    assert (refused.status, refused.code) == (500, "internal-error")
    assert "the model 'fashion-mlp' gives NaN" in str(refused)
    assert answered.label == "Bag"


def test_an_image_at_which_the_graph_fails_is_refused_and_the_others_are_answered(folder, forge, image, caplog):
    forge("fashion-mlp/3", edit=error_for_plain_images)
    predictor = Predictor(Repository(folder), 2_000_000, SerialExecutor(5.0))
    plain = saved(Image.new("L", (28, 28)), "PNG")

    refused, answered, also_refused = predictor.predict([plain, image("bag"), plain], ANY_MODEL).items

    assert {(refusal.status, refusal.code) for refusal in (refused, also_refused)} == {(500, "internal-error")}
    assert answered.label == "Bag"
    assert [line.partition("(")[0] for line in caplog.messages] == [
        "The graph of fashion-mlp:3 failed: InvalidArgument"
    ] * 2
    assert not any(record.exc_info for record in caplog.records)  # a request may have hundreds of such images


def test_a_label_whose_probability_is_just_the_threshold_is_in_the_set(repository, folder, forge, image):
    pixels = np.asarray(Image.open(io.BytesIO(image("pullover"))))[None, ..., None]
    (probabilities,) = repository.named("fashion-mlp").classify(pixels)
    third = float(np.sort(probabilities)[-3])
    forge("fashion-mlp/3", conformal={"coverage": 0.95, "threshold": third})
    predictor = Predictor(Repository(folder), 2_000_000, SerialExecutor(5.0))

    (answer,) = predictor.predict([image("pullover")], ANY_MODEL).items

    assert answer.set == [candidate.label for candidate in answer.top[:3]]


def test_an_image_whose_novelty_is_nan_is_novel_and_is_promised_nothing(folder, forge):
    forge("fashion-mlp/3", edit=partial(nan_for_plain_images, output="novelty"))
    predictor = Predictor(Repository(folder), 2_000_000, SerialExecutor(5.0))

    (answer,) = predictor.predict([saved(Image.new("L", (28, 28)), "PNG")], ANY_MODEL).items

    assert (answer.novel, answer.coverage, answer.novelty) == (True, None, UNSET)
