"""Without a model's name an image goes where the router sends it; the router here goes by brightness."""

import shutil

import pytest
from pictures import saved
from PIL import Image
from routers import add_router

from serving.concurrency import SerialExecutor
from serving.inference.options import PredictOptions
from serving.inference.predictor import NullObserver, Predictor
from serving.repository.index import Routing
from serving.repository.repository import Repository

GARMENTS, THINGS = "fashion-mlp", "cifar-cnn"
DARK, BRIGHT = 30, 220


class Counter(NullObserver):
    """Counts the images that a model answered."""

    def __init__(self):
        self.answered = []

    def on_batch(self, classifier, pixels, outputs, seconds):
        self.answered += [classifier.card.name] * len(pixels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, models):
    folder = tmp_path_factory.mktemp("routed") / "models"
    shutil.copytree(models, folder)
    add_router(folder)
    return folder


@pytest.fixture(scope="module")
def repository(folder):
    return Repository(folder)


@pytest.fixture
def predictor(repository):
    return Predictor(repository, 2_000_000, SerialExecutor(5.0))


def photo(level, mode="RGB", size=(60, 50)):
    """Return a PNG with a mean brightness near this level, in colour unless the mode is L."""
    image = Image.new("RGB", size, (level, min(level + 20, 255), level))
    return saved(image.convert(mode), "PNG")


def models_of(predictor, *uploads, **options):
    return [item.model for item in predictor.predict(uploads, PredictOptions(**options)).items]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_is_seen_decides_in_colour_and_in_grey_alike(predictor, mode):
    assert models_of(predictor, photo(DARK, mode), photo(BRIGHT, mode)) == [GARMENTS, THINGS]


@pytest.mark.parametrize(("ground", "level"), [(0, 147), (255, 111)])
def test_in_grey_on_black_or_white_the_router_must_be_surer_of_things(predictor, ground, level):
    grey = Image.new("L", (64, 64), ground)
    grey.paste(level, (2, 2, 62, 62))  # the mean is such that the router gives things about 0.7
    tinted = grey.convert("RGB")
    tinted.putpixel((32, 32), (level + 30, level, level))

    assert models_of(predictor, saved(grey, "PNG"), saved(tinted, "PNG")) == [GARMENTS, THINGS]


def test_a_large_photo_is_routed_too(predictor):
    large = photo(DARK, size=(1_400, 1_100))

    assert models_of(predictor, large) == [GARMENTS]


def test_images_of_one_request_go_to_different_models_and_keep_their_order(predictor):
    uploads = [photo(level) for level in (BRIGHT, DARK, DARK, BRIGHT, DARK)]

    found = predictor.predict(uploads, PredictOptions())

    assert [item.model for item in found.items] == [THINGS, GARMENTS, GARMENTS, THINGS, GARMENTS]
    assert {one.card.name for one in found.classifiers} == {THINGS, GARMENTS}


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_image_of_one_models_input_size_goes_to_that_model(predictor, mode):
    garment, thing = photo(BRIGHT, mode, (28, 28)), photo(DARK, mode, (32, 32))  # not as the router says

    assert models_of(predictor, garment, thing) == [GARMENTS, THINGS]


def test_a_named_model_answers_whatever_the_router_would_say(predictor):
    assert models_of(predictor, photo(DARK), model=THINGS) == [THINGS]


def test_the_router_answers_where_it_is_named(predictor):
    (item,) = predictor.predict([photo(DARK)], PredictOptions("router")).items

    assert (item.model, item.label) == ("router", "Fashion-MNIST")


def test_without_a_router_colour_decides(models):
    predictor = Predictor(Repository(models), 2_000_000, SerialExecutor(5.0))

    assert models_of(predictor, photo(DARK), photo(BRIGHT, "L")) == [THINGS, GARMENTS]


def test_the_router_chooses_between_the_models_that_the_operator_chose(folder):
    repository = Repository(folder, routing=Routing(grey=THINGS, colour=GARMENTS))
    predictor = Predictor(repository, 2_000_000, SerialExecutor(5.0))

    assert models_of(predictor, photo(DARK), photo(BRIGHT)) == [THINGS, GARMENTS]


def test_one_default_for_everything_needs_no_router(folder):
    repository = Repository(folder, routing=Routing(grey=THINGS, colour=THINGS))
    predictor = Predictor(repository, 2_000_000, SerialExecutor(5.0))

    assert models_of(predictor, photo(DARK), photo(BRIGHT)) == [THINGS, THINGS]


def test_the_routers_runs_take_time_but_are_not_counted_as_answers(repository):
    counter = Counter()
    predictor = Predictor(repository, 2_000_000, SerialExecutor(5.0), counter)

    timings = predictor.predict([photo(DARK)], PredictOptions()).timings

    assert counter.answered == [GARMENTS]
    assert [run.classifier.card.name for run in timings.runs] == [GARMENTS]
    assert timings.infer > timings.runs[0].seconds
