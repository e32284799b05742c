"""The page in a browser: what it keeps over a reload."""

import io

import numpy as np
import pytest
from browsing import IMAGES, NEEDS_BROWSER, NO_STORAGE, NOTES, choose, hold_answers
from PIL import Image
from playwright.sync_api import Page, expect

pytestmark = NEEDS_BROWSER
SAVED_AFTER_MS = 600  # after the last change


@pytest.fixture
def tab(context):
    """Yield a tab for each test: one forbids the storage, and all look at it."""
    tab = context.new_page()
    yield tab
    tab.close()


@pytest.fixture
def large():
    """Return a picture that is too large to be kept, with the name large.png."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "png")
    return {"name": "large.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


@pytest.fixture
def bag():
    return {"name": "bag.png", "mimeType": "image/png", "buffer": (IMAGES / "bag.png").read_bytes()}


def reload(page: Page) -> None:
    page.wait_for_timeout(SAVED_AFTER_MS)
    page.reload()


def fill_storage(page: Page, free: int) -> None:
    """Leave so many characters of the session storage free."""
    page.evaluate(
        """(free) => {
        let text = "";
        for (let step = 2 ** 22; step >= 1; step /= 2) {
            try {
                sessionStorage.setItem("other", text + "x".repeat(step));
                text += "x".repeat(step);
            } catch { /* too long */ }
        }
        sessionStorage.setItem("other", text.slice(free));
    }""",
        free,
    )


def test_all_is_kept_over_a_reload_and_can_still_be_explained(page, bag):
    page.set_input_files("#files", [bag, NOTES])
    table = page.locator("#many")
    expect(table.get_by_role("status")).to_have_text("2 pictures")
    page.wait_for_timeout(SAVED_AFTER_MS)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/classify" in request.url else None)

    page.reload()

    expect(table.locator("tbody tr")).to_have_count(2)
    expect(table.locator("tbody tr").first).to_contain_text("Bag")
    table.get_by_role("button", name="bag.png", exact=True).click()
    expect(page.locator(".finding")).to_contain_text("Bag falls from")
    assert asked == []


def test_what_was_chosen_is_kept(page):
    page.get_by_role("combobox", name="Model").select_option("Things and animals")
    page.get_by_label("Compare with").select_option("fashion-mlp")
    choose(page, "bag")
    page.get_by_text("Details").first.click()
    page.get_by_label("Coverage").first.select_option("0.99")
    expect(page.locator("article .set").nth(1)).to_contain_text("in 99% of cases")

    reload(page)

    expect(page.get_by_role("combobox", name="Model")).to_have_value("cifar-cnn")
    expect(page.locator("article .who")).to_have_text(["cifar-cnn, version 2", "fashion-mlp, version 2"])
    expect(page.locator("article .set").nth(1)).to_contain_text("in 99% of cases")
    expect(page.locator("article .coverage").first).to_have_value("0.99")
    expect(page.get_by_role("button", name="ship")).to_be_visible()


def test_of_a_picture_whose_answer_a_reload_cut_off_the_page_says_what_became_of_it(page, large, bag):
    release = hold_answers(page)
    page.set_input_files("#files", [large, bag])
    expect(page.locator("#many").get_by_role("status")).to_have_text("0 of 2")

    release()
    reload(page)

    expect(page.locator("#many").get_by_role("status")).to_have_text("2 pictures")
    expect(page.locator("#many tbody .is")).to_have_text(["No answer", "Bag"])
    expect(page.locator(".problem")).to_contain_text("The file is gone")
    expect(page.locator(".advice")).to_have_text("Add the file again.")


def test_an_answer_whose_file_is_gone_outlives_the_choice_of_another_model(page, large, bag):
    page.set_input_files("#files", [large, bag])
    expect(page.locator("#many").get_by_role("status")).to_have_text("2 pictures")
    label = page.locator("#many tbody .is").first.inner_text()
    reload(page)

    page.get_by_role("combobox", name="Model").select_option("fashion-mlp")

    expect(page.locator("#status")).to_contain_text(
        "Not classified again: after the reload only the answers are left for large.png."
    )
    expect(page.locator("#many tbody .is").first).to_have_text(label)
    page.get_by_role("button", name="bag.png", exact=True).click()
    expect(page.locator(".who")).to_have_text("fashion-mlp, version 2")


def test_where_the_storage_is_full_the_newest_answers_are_kept_and_the_page_says_so(page, bag):
    fill_storage(page, 10_000)
    page.set_input_files("#files", [bag | {"name": f"{number}.png"} for number in range(20)])

    expect(page.locator("#status")).to_contain_text("The browser has no room for 10 of 20 pictures")
    reload(page)
    expect(page.locator("#many tbody .is")).to_have_text(["Bag"] * 10)
    expect(page.locator("#many tbody .pick").first).to_have_text("0.png")
    expect(page.locator(".pixels").first).to_be_hidden()


def test_where_the_browser_forbids_storage_the_page_answers(page):
    page.add_init_script(NO_STORAGE)
    page.reload()

    choose(page, "bag")

    expect(page.get_by_role("article").locator("h2")).to_have_text("Bag")
    expect(page.locator("#status")).to_contain_text("The browser has no room for 1 of 1 pictures")


def test_a_second_reload_loses_no_more_than_the_first(page, bag):
    page.set_input_files("#files", [bag, NOTES])
    expect(page.locator("#many").get_by_role("status")).to_have_text("2 pictures")
    for _ in range(3):
        reload(page)

    page.locator("#model").select_option("cifar-cnn")

    expect(page.locator(".who")).to_have_text("cifar-cnn, version 2")
    expect(page.locator("#status")).to_have_text("")


@pytest.mark.parametrize("kept", ["x", "null", "[]", '{"items": null}', '{"items": [{"file": "?"}]}'])
def test_what_the_page_did_not_write_is_not_taken_for_pictures(page, kept):
    page.evaluate(
        "(kept) => { addEventListener('pagehide', () => sessionStorage.setItem('thimble-page', kept)); }", kept
    )
    page.reload()

    choose(page, "bag")

    expect(page.get_by_role("article").locator("h2")).to_have_text("Bag")
    expect(page.locator("#samples")).to_be_visible()


def test_a_reload_at_any_moment_loses_no_picture(page, bag):
    release = hold_answers(page)
    page.evaluate("""() => {
        window.filesRead = 0;
        const read = FileReader.prototype.readAsDataURL;
        FileReader.prototype.readAsDataURL = function (file) {
            this.addEventListener("loadend", () => { window.filesRead += 1; });
            read.call(this, file);
        };
    }""")
    page.set_input_files("#files", [bag | {"name": f"{number}.png"} for number in range(30)])
    page.wait_for_function("() => window.filesRead === 30")

    release()
    page.reload()

    expect(page.locator("#many").get_by_role("status")).to_have_text("30 pictures")
    expect(page.locator("#many tbody .is")).to_have_text(["Bag"] * 30)


def test_a_model_chosen_just_before_a_reload_answers_after_it(page):
    choose(page, "bag")
    expect(page.locator(".who")).to_have_text("fashion-mlp, version 2")
    page.wait_for_timeout(SAVED_AFTER_MS)
    release = hold_answers(page)
    page.locator("#model").select_option("cifar-cnn")

    release()
    page.reload()

    expect(page.locator(".who")).to_have_text("cifar-cnn, version 2")


def test_pictures_removed_while_they_are_read_do_not_come_back(page, bag):
    page.evaluate("""() => {
        const read = FileReader.prototype.readAsDataURL;
        FileReader.prototype.readAsDataURL = function (file) { setTimeout(() => read.call(this, file), 300); };
    }""")
    page.set_input_files("#files", [bag | {"name": f"{number}.png"} for number in range(3)])
    page.wait_for_timeout(SAVED_AFTER_MS)
    page.get_by_role("button", name="Remove all").click()
    page.wait_for_timeout(1_000)  # the files are read by then

    page.reload()

    expect(page.locator("#files")).to_be_enabled()
    expect(page.locator("#answers")).to_be_hidden()
