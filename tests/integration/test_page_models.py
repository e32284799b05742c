"""The page in a browser: models are chosen, compared, read about, and come and go."""

import re
import shutil

import pytest
from browsing import NEEDS_BROWSER, choose
from playwright.sync_api import Page, expect
from polling import wait_until

LOOK_MS = 10_000  # how often a page looks which models there are

pytestmark = NEEDS_BROWSER


def open_with_a_clock(page: Page, url: str) -> None:
    """Open a page whose time can be put forward, and wait until it has looked which models there are."""
    page.clock.install()
    with page.expect_response(lambda response: response.request.method == "HEAD"):
        page.goto(url)


def look_again(page: Page, *ready: str) -> None:
    """Wait until the service has these models and no other, then put the page's time forward to its next look."""

    def names() -> set[str]:
        return {model["name"] for model in page.request.get(f"{page.url}models").json()["models"]}

    wait_until(lambda: names() == {*ready})
    page.clock.fast_forward(LOOK_MS)


def test_another_model_answers_the_shown_picture_again(page):
    choose(page, "bag")
    expect(page.locator(".who")).to_contain_text("fashion-mlp")

    page.get_by_role("combobox", name="Model").select_option("Things and animals")

    expect(page.locator(".who")).to_contain_text("cifar-cnn")


@pytest.mark.parametrize(("chooser", "place"), [("#model", 0), ("#compare", 1)])
def test_a_late_answer_does_not_replace_that_of_a_model_chosen_since(page, chooser, place):
    held = []
    page.route("**/classify?*model=cifar-cnn*", lambda route: held.append(route))
    page.get_by_label("Compare with").select_option("fashion-mlp")
    choose(page, "bag")
    with page.expect_request("**/classify?*model=cifar-cnn*"):
        page.locator(chooser).select_option("cifar-cnn")
    page.locator(chooser).select_option("fashion-mlp")
    expect(page.locator("article .who").nth(place)).to_have_text("fashion-mlp, version 2")

    assert held
    for route in held:
        route.continue_()
    page.wait_for_timeout(500)  # it would have been shown by now

    expect(page.locator("article .who").nth(place)).to_have_text("fashion-mlp, version 2")


def test_with_the_chosen_picture_removed_both_models_show_the_next(page):
    page.get_by_label("Compare with").select_option("Things and animals")
    choose(page, "bag", "trouser")
    expect(page.locator("article .name")).to_have_text(["bag.png", "bag.png"])

    page.get_by_role("button", name="Remove bag.png").click()

    expect(page.locator("article .name")).to_have_text(["trouser.png", "trouser.png"])
    expect(page.locator("article .who")).to_have_text(["fashion-mlp, version 2", "cifar-cnn, version 2"])


def test_two_models_are_compared_side_by_side(page):
    choose(page, "bag")

    page.get_by_label("Compare with").select_option("Things and animals")

    expect(page.locator("article:visible")).to_have_count(2)
    expect(page.locator("article .who")).to_have_text(["fashion-mlp, version 2", "cifar-cnn, version 2"])
    tops = page.locator("article").evaluate_all("all => all.map((one) => one.getBoundingClientRect().top)")
    assert tops[0] == tops[1]

    page.get_by_label("Compare with").select_option("nothing")
    expect(page.locator("article:visible")).to_have_count(1)


def test_the_card_of_the_model_that_answered_can_be_read(page):
    choose(page, "bag")

    page.get_by_role("button", name="fashion-mlp, version 2").click()

    card = page.get_by_role("dialog")
    expect(card.get_by_role("heading", level=2)).to_have_text("Garments, multilayer perceptron taught by fashion-net")
    expect(card.locator(".labels li")).to_have_count(10)
    expect(card).to_contain_text("90.83% of 10,000 test pictures")
    expect(card.locator(".limits li").first).to_contain_text("like those of Fashion-MNIST")
    expect(card.get_by_role("img", name="Confusion matrix")).to_be_visible()
    expect(card.get_by_role("img", name="Accuracy by epoch")).to_be_visible()
    expect(card.get_by_role("button", name="Save the model")).to_have_count(0)

    card.get_by_label("Model").select_option("cifar-cnn")
    expect(card.get_by_role("heading", level=2)).to_contain_text("Things and animals")
    with page.expect_download() as readme:
        card.get_by_role("button", name="Save the README").click()
    assert "# cifar-cnn" in readme.value.path().read_text()
    card.get_by_role("button", name="Close").click()
    expect(card).to_be_hidden()


def test_the_card_chosen_last_is_shown(page):
    held = []
    page.route("**/models/fashion-mlp", lambda route: held.append(route))
    page.get_by_role("button", name="About the models").click()
    card = page.get_by_role("dialog")
    card.get_by_label("Model").select_option("fashion-mlp")
    card.get_by_label("Model").select_option("cifar-cnn")
    expect(card.get_by_role("heading", level=2)).to_contain_text("Things and animals")

    with page.expect_response("**/models/fashion-mlp"):
        for route in held:
            route.continue_()
    page.wait_for_timeout(200)  # it would have been shown by now

    expect(card.get_by_role("heading", level=2)).to_contain_text("Things and animals")


@pytest.mark.parametrize("body", ["null", '{"card": null}', '{"card": {}}'])
def test_what_is_not_a_card_is_said_in_words(page, body):
    page.route("**/models/*", lambda route: route.fulfill(body=body))

    page.get_by_role("button", name="About the models").click()

    expect(page.get_by_role("dialog")).to_contain_text("The answer is not from the service")


def test_a_model_can_be_saved_where_that_is_allowed(browser, start, models):
    service = start(allow_download="true", workers="1")
    page = browser.new_page()
    page.goto(service.url)
    page.get_by_role("button", name="About the models").click()

    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the model").click()

    name = page.locator("#card-model").input_value()
    assert saved.value.path().read_bytes() == (models / name / "2" / "model.onnx").read_bytes()
    page.close()


def test_drawings_fit_the_chosen_model(page):
    expect(page.locator("#samples button:visible")).to_have_count(4)

    page.get_by_role("combobox", name="Model").select_option("Things and animals")

    expect(page.get_by_role("button", name="ship")).to_be_visible()
    expect(page.get_by_role("button", name="trouser")).to_be_hidden()


def test_a_page_without_a_model_is_whole_once_one_appears(browser, start, models, tmp_path):
    (tmp_path / "models").mkdir()
    service = start(models=str(tmp_path / "models"), workers="1", poll_seconds="0.2")
    page = browser.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(error))
    open_with_a_clock(page, service.url)
    page.get_by_role("button", name="About the models").click()
    expect(page.get_by_role("dialog").get_by_text("No model is ready.")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()

    shutil.copytree(models / "cifar-cnn", tmp_path / "cifar-cnn")
    (tmp_path / "cifar-cnn").rename(tmp_path / "models" / "cifar-cnn")

    look_again(page, "cifar-cnn")
    expect(page.locator("#status")).to_have_text("The model cifar-cnn is new.")
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#lead")).to_contain_text("It knows things and animals.")
    page.get_by_role("button", name="ship").click()
    expect(page.get_by_role("article").locator("h2")).to_have_text("ship")
    assert faults == []
    page.close()


@pytest.fixture
def two_models(browser, start, models, tmp_path):
    """Yield the page of a service with two models, and the folder that they are in."""
    folder = tmp_path / "models"
    for name in ("cifar-cnn", "fashion-mlp"):
        shutil.copytree(models / name, folder / name)
    service = start(models=str(folder), workers="1", poll_seconds="0.2")
    context = browser.new_context()
    page = context.new_page()
    open_with_a_clock(page, service.url)
    yield page, folder
    context.close()


@pytest.mark.parametrize(
    ("gone", "kept", "compared"), [("fashion-mlp", "cifar-cnn", False), ("cifar-cnn", "fashion-mlp", True)]
)
def test_a_model_that_was_not_chosen_and_goes_is_no_reason_to_ask_again(two_models, gone, kept, compared):
    page, folder = two_models
    if compared:
        page.get_by_label("Compare with").select_option(gone)
    choose(page, "bag")
    expect(page.locator("article:visible")).to_have_count(1 + compared)
    expect(page.locator("article .who").first).to_have_text("fashion-mlp, version 2")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/classify" in request.url else None)

    shutil.rmtree(folder / gone)

    look_again(page, kept)
    expect(page.locator("#status")).to_have_text(f"The model {gone} has gone.")
    expect(page.locator("article:visible")).to_have_count(1)
    page.wait_for_timeout(300)  # it would have asked by now
    assert asked == []


def test_a_model_that_appears_or_goes_while_the_page_is_open_is_noticed(browser, start, models, tmp_path):
    shutil.copytree(models / "fashion-mlp", tmp_path / "models" / "fashion-mlp")
    service = start(models=str(tmp_path / "models"), workers="1", poll_seconds="0.2")
    context = browser.new_context()
    page = context.new_page()
    open_with_a_clock(page, service.url)
    model = page.get_by_role("combobox", name="Model")

    shutil.copytree(models / "cifar-cnn", tmp_path / "cifar-cnn")
    (tmp_path / "cifar-cnn").rename(tmp_path / "models" / "cifar-cnn")
    look_again(page, "fashion-mlp", "cifar-cnn")
    expect(page.locator("#status")).to_have_text("The model cifar-cnn is new.")
    model.select_option("cifar-cnn")
    choose(page, "bag")
    expect(page.locator(".who")).to_contain_text("cifar-cnn")

    shutil.rmtree(tmp_path / "models" / "cifar-cnn")
    look_again(page, "fashion-mlp")
    expect(page.locator("#status")).to_have_text("The model cifar-cnn has gone.")
    expect(model).to_have_value("")
    expect(page.locator(".who")).to_have_text(re.compile("^fashion-mlp"))
    context.close()
