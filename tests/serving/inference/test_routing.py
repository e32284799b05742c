"""Without a model's name an image goes where the router sends it; the router here goes by brightness."""

import json
import shutil
from pathlib import Path

import onnx
import pytest
from cards import read_card, write_card
from graphs import error_for_plain_images
from pictures import saved
from PIL import Image, ImageDraw
from routers import add_router

from serving.concurrency import SerialExecutor
from serving.inference.options import PredictOptions
from serving.inference.predictor import NullObserver, Predictor
from serving.inference.routing import BIAS
from serving.inference.timings import Timings
from serving.model.card import CARD_KEY
from serving.repository.index import Routing
from serving.repository.repository import Repository

GARMENTS, THINGS = "fashion-mlp", "cifar-cnn"
DARK, BRIGHT = 30, 220
IMAGES = Path(__file__).parents[2] / "images"


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


def garment(mode, tinted=False):
    """Return a pullover in grey on black, enlarged; tinted: with one pixel in colour."""
    image = Image.open(IMAGES / "pullover.png").resize((112, 112), Image.Resampling.BICUBIC).convert("RGB")
    if tinted:
        image.putpixel((56, 56), (200, 150, 150))
    return saved(image.convert(mode), "PNG")


def ship():
    """Return a drawing of a ship at sea."""
    image = Image.new("RGB", (128, 96), (150, 180, 210))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 66, 128, 96), fill=(40, 70, 110))
    draw.polygon([(20, 55), (110, 55), (98, 74), (32, 74)], fill=(120, 40, 40))
    draw.rectangle((45, 35, 80, 55), fill=(230, 230, 230))
    return saved(image, "PNG")


def with_router(models, folder, log_odds, novelty=True):
    """Return a predictor whose router gives every image these log odds of being a garment."""
    shutil.copytree(models, folder)
    add_router(folder, log_odds=log_odds)
    if not novelty:
        leave_out_novelty(folder / GARMENTS)
        leave_out_novelty(folder / THINGS)
    return Predictor(Repository(folder), 2_000_000, SerialExecutor(5.0))


def leave_out_novelty(model):
    """Write a model's file anew without a novelty output."""
    (path,) = model.glob("2/model.onnx")
    graph = onnx.load(path)
    card = json.loads(graph.metadata_props[0].value)
    del card["novelty"], graph.graph.output[1]
    for golden in card["golden"]:
        del golden["novelty"]
    onnx.helper.set_model_props(graph, {CARD_KEY: json.dumps(card)})
    onnx.save(graph, path)


def test_where_the_router_is_unsure_the_model_to_which_an_image_is_less_novel_answers(models, tmp_path):
    predictor = with_router(models, tmp_path / "models", log_odds=0.0)

    assert models_of(predictor, garment("RGB", tinted=True), ship()) == [GARMENTS, THINGS]


@pytest.mark.parametrize(("log_odds", "model"), [(4.0, GARMENTS), (-4.0, THINGS)])
def test_where_the_router_is_sure_novelty_does_not_outweigh_it(models, tmp_path, log_odds, model):
    predictor = with_router(models, tmp_path / "models", log_odds)

    assert models_of(predictor, garment("RGB", tinted=True), ship()) == [model, model]


def test_a_model_whose_novelty_has_a_larger_scale_weighs_no_more(models, tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    add_router(folder, log_odds=-1.0)
    path = folder / THINGS / "2" / "model.onnx"
    model = onnx.load(path)
    card = read_card(model)
    write_card(model, {**card, "novelty": {**card["novelty"], "threshold": -100.0}})  # a ship is novel to both then
    onnx.save(model, path)

    assert models_of(Predictor(Repository(folder), 2_000_000, SerialExecutor(5.0)), ship()) == [THINGS]


@pytest.mark.parametrize(("log_odds", "model"), [(0.5, GARMENTS), (0.0, THINGS), (-0.5, THINGS)])
def test_without_novelty_the_router_alone_decides(models, tmp_path, log_odds, model):
    predictor = with_router(models, tmp_path / "models", log_odds, novelty=False)

    assert models_of(predictor, garment("RGB", tinted=True), ship()) == [model, model]


def test_in_grey_on_black_an_image_is_rather_a_garment(models, tmp_path):
    predictor = with_router(models, tmp_path / "models", log_odds=-2.0)

    assert models_of(predictor, garment("L"), garment("RGB"), garment("RGB", tinted=True)) == [GARMENTS] * 2 + [THINGS]


@pytest.mark.parametrize(("width", "model"), [(1, GARMENTS), (20, THINGS)])
def test_in_grey_on_white_too_though_it_touches_some_of_the_border(models, tmp_path, width, model):
    predictor = with_router(models, tmp_path / "models", log_odds=-0.5, novelty=False)
    image = Image.new("L", (60, 60), 255)
    image.paste(90, (0, 0, width, 60))

    assert models_of(predictor, saved(image, "PNG")) == [model]


def test_a_large_photo_is_routed_too(predictor):
    large = photo(DARK, size=(1_400, 1_100))

    assert models_of(predictor, large) == [GARMENTS]


def test_a_photo_keeps_what_those_models_need_that_may_answer_and_no_more(models, tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    add_router(folder)
    add_router(folder, "large", side=500)
    repository = Repository(folder, routing=Routing(grey=GARMENTS, colour=THINGS))
    predictor = Predictor(repository, 2_000_000, SerialExecutor(5.0))
    upload = photo(DARK, size=(1_600, 1_200))

    (routed,), (named,) = (
        predictor.prepare([upload], classifier, Timings()) for classifier in (None, repository.named("large"))
    )

    assert (routed.input.size, named.input.size) == ((400, 300), (1_600, 1_200))


def test_images_of_one_request_go_to_different_models_and_keep_their_order(predictor):
    uploads = [photo(level) for level in (BRIGHT, DARK, DARK, BRIGHT, DARK)]

    found = predictor.predict(uploads, PredictOptions())

    assert [item.model for item in found.items] == [THINGS, GARMENTS, GARMENTS, THINGS, GARMENTS]
    assert {one.card.name for one in found.classifiers} == {THINGS, GARMENTS}


def test_an_image_that_is_as_one_models_inputs_goes_to_that_model(predictor):
    garment, thing = photo(BRIGHT, "L", (28, 28)), photo(DARK, "RGB", (32, 32))  # not as the router says

    assert models_of(predictor, garment, thing) == [GARMENTS, THINGS]


def test_of_an_input_size_in_another_mode_what_is_seen_decides(predictor):
    thing, garment = photo(BRIGHT, "RGB", (28, 28)), photo(DARK, "L", (32, 32))

    assert models_of(predictor, thing, garment) == [THINGS, GARMENTS]


def test_what_is_as_the_inputs_of_both_models_goes_where_the_router_sends_it(models, tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    add_router(folder)
    other = onnx.load(folder / THINGS / "2" / "model.onnx")
    write_card(other, {**read_card(other), "name": "other", "version": "1"})
    (folder / "other/1").mkdir(parents=True)
    onnx.save(other, folder / "other/1/model.onnx")
    repository = Repository(folder, routing=Routing(grey="other", colour=THINGS))
    predictor = Predictor(repository, 2_000_000, SerialExecutor(5.0))

    images = [photo(level, size=(32, 32)) for level in (DARK, BRIGHT)]
    assert models_of(predictor, *images) == ["other", THINGS]


def test_a_named_model_answers_whatever_the_router_would_say(predictor):
    assert models_of(predictor, photo(DARK), model=THINGS) == [THINGS]


def test_the_router_answers_where_it_is_named(predictor):
    (item,) = predictor.predict([photo(DARK)], PredictOptions("router")).items

    assert (item.model, item.label) == ("router", "Fashion-MNIST")


def test_without_a_router_colour_decides(models):
    predictor = Predictor(Repository(models), 2_000_000, SerialExecutor(5.0))

    assert models_of(predictor, photo(DARK), photo(BRIGHT, "L")) == [THINGS, GARMENTS]


def test_an_image_at_which_a_graph_fails_that_is_to_choose_is_refused_and_the_others_are_answered(
    tmp_path, models, caplog
):
    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    add_router(folder, log_odds=-BIAS)  # never sure, so that it looks at both models' novelty
    for file in folder.glob(f"{THINGS}/*/model.onnx"):
        model = onnx.load(file)
        error_for_plain_images(model)
        onnx.save(model, file)
    predictor = Predictor(Repository(folder), 2_000_000, SerialExecutor(5.0))
    plain = saved(Image.new("RGB", (64, 64), "grey"), "PNG")

    refused, answered = predictor.predict([plain, photo(DARK)], PredictOptions()).items

    assert (refused.status, refused.code) == (500, "internal-error")
    assert answered.model in (GARMENTS, THINGS)
    (line,) = caplog.messages
    assert line.startswith("Choosing a model for an image failed: InvalidArgument(")


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
