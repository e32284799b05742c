"""The page in a browser: Chromium, where it is installed."""

import base64
import hashlib
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

IMAGES = Path(__file__).parent.parent / "images"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TIMEOUT = 20_000  # milliseconds

pytestmark = [pytest.mark.trains, pytest.mark.skipif(not BROWSER, reason="Chromium is not installed")]
expect.set_options(timeout=TIMEOUT)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        # Tests run as root in containers, where Chromium's sandbox does not work.
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"], timeout=3 * TIMEOUT)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    """Yield the page; errors in it and requests to other hosts fail the test."""
    context = browser.new_context(base_url=server.url, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Policy" in message.text else None)
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith(("http://127.0.0.1:", "blob:", "data:")) else faults.append(asked.url)
        ),
    )
    page.goto("/")
    yield page
    assert faults == []
    context.close()


def test_a_page_below_a_path_asks_with_the_key_that_it_is_given_and_forgets_it_with_the_tab(browser, start, tmp_path):
    (tmp_path / "keys.txt").write_text(f"ann {hashlib.sha256(b'one').hexdigest()}")
    locked = start(keys_file=str(tmp_path / "keys.txt"), root_path="/ml", workers="1")
    context = browser.new_context()
    page, other = context.new_page(), context.new_page()
    page.goto(f"{locked.url}/ml/")

    choose(page, "bag")
    expect(page.get_by_role("article").locator(".problem")).to_contain_text("A key is needed", timeout=TIMEOUT)
    page.get_by_label("Key").fill("one")
    page.get_by_label("Key").blur()
    expect(page.get_by_role("article").locator("h2")).to_contain_text("Bag")
    page.get_by_role("button", name="Which pixels mattered?").click()
    expect(page.locator(".overlay")).to_be_visible()

    page.reload()
    expect(page.get_by_label("Key")).to_have_value("one")
    other.goto(f"{locked.url}/ml/")
    expect(other.get_by_label("Key")).to_have_value("")
    context.close()


def choose(page: Page, *names: str) -> None:
    page.set_input_files("#files", [IMAGES / f"{name}.png" for name in names])


def test_a_chosen_image_gets_its_label_and_the_whole_answer(page):
    choose(page, "bag")

    result = page.get_by_role("article")
    expect(result.get_by_role("heading")).to_have_text(re.compile(r"^Bag, \d+\.\d\s%$"))
    expect(result.locator(".who")).to_have_text(re.compile(r"^fashion-mlp, version 1, in \d+ ms$"))
    expect(result.locator(".set")).to_contain_text("Label set: Bag. It holds the true label in 95 % of cases")
    expect(result.locator(".bars li")).to_have_count(5)
    expect(result.locator(".bars li").first).to_have_text(re.compile(r"^Bag\d+\.\d\s%$"))
    expect(result.locator(".novel")).to_be_hidden()
    expect(result.locator(".fit")).to_have_text("unchanged")
    assert result.locator(".pixels").evaluate("image => image.decode().then(() => image.naturalWidth)") == 28
    expect(page.get_by_role("status")).to_have_text(re.compile("^bag.png: Bag, "))


def test_several_images_are_answered_in_order_with_the_newest_on_top(page):
    choose(page, "bag", "sandal")
    choose(page, "trouser")

    expect(page.get_by_role("article").locator("h2")).to_have_text(
        [re.compile("^Trouser"), re.compile("^Bag"), re.compile("^Sandal")]
    )


def test_an_image_unlike_the_training_data_is_called_so(page):
    page.get_by_role("button", name="spiral").click()

    expect(page.locator(".novel")).to_contain_text("Unlike the training data")


def test_the_answer_has_the_model_file_the_times_and_the_command(page):
    choose(page, "bag")
    page.get_by_text("Prediction details").click()

    facts = page.locator(".facts")
    expect(facts).to_contain_text(re.compile("fashion-mlp:1 sha256:[0-9a-f]{64}"))
    expect(facts).to_contain_text(re.compile(r"decode \d+\.\d ms, fit \d+\.\d ms, infer \d+\.\d ms"))
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    command = page.evaluate("() => navigator.clipboard.readText()")
    host = page.evaluate("() => location.origin")
    assert command == f"curl --data-binary @'bag.png' -H 'Content-Type: image/png' '{host}/classify?seen=true'"


def test_a_label_shows_its_explanation_and_hides_it_again(page):
    choose(page, "bag")
    page.get_by_role("button", name="Which pixels mattered?").click()

    label = page.locator(".bars button").first
    expect(label).to_have_attribute("aria-pressed", "true")
    effect = re.compile(r"lowers the probability of Bag from \d+\.\d\s% by \d+ percentage points")
    expect(page.locator(".legend")).to_have_text(effect)
    upload, overlay = page.locator(".upload").bounding_box(), page.locator(".overlay").bounding_box()
    assert overlay == upload

    label.click()

    expect(page.locator(".overlay")).to_be_hidden()
    expect(label).to_have_attribute("aria-pressed", "false")


def test_another_model_answers_the_shown_image_again(page):
    choose(page, "bag")
    expect(page.locator(".who")).to_contain_text("fashion-mlp")

    page.get_by_role("combobox", name="Model").select_option("cifar-cnn")

    expect(page.locator(".who")).to_contain_text("cifar-cnn")
    expect(page.locator(".curl")).to_contain_text("model=cifar-cnn&seen=true")


def test_the_answer_has_the_chosen_coverage(page):
    page.get_by_label("Coverage").select_option("0.99")
    choose(page, "pullover")

    expect(page.locator(".set")).to_contain_text("in 99 % of cases")


def test_the_set_of_a_novel_image_promises_nothing(page):
    page.get_by_title("spiral").click()

    expect(page.locator(".novel")).to_be_visible()
    expect(page.locator(".set")).to_contain_text("It promises nothing for this image.")


def test_an_unknown_page_leads_to_those_that_exist(page, server):
    page.goto(f"{server.url}/nothing/here")

    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    page.get_by_role("link", name="start page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Classify an image")


def test_a_text_file_is_refused_in_words(page):
    page.set_input_files("#files", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})

    expect(page.locator(".problem")).to_contain_text("The image cannot be read. The 5 bytes are not a complete image")
    expect(page.get_by_role("status")).to_have_text("notes.txt: No prediction")


def test_a_file_named_like_markup_is_shown_as_text(page):
    name = "<img src=x onerror=alert(1)>'.png"
    page.set_input_files("#files", {"name": name, "mimeType": "image/png", "buffer": (IMAGES / "bag.png").read_bytes()})

    expect(page.locator(".name")).to_have_text(name)
    expect(page.locator(".curl")).to_contain_text(r"@'<img src=x onerror=alert(1)>'\''.png'")


def test_a_service_that_does_not_answer_is_reported(page):
    page.context.set_offline(True)

    choose(page, "bag")

    expect(page.locator(".problem")).to_contain_text("The service does not answer")


DROP = """([kind, content]) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "sneaker.png", { type: "image/png" }));
    const event = kind === "paste"
        ? new ClipboardEvent(kind, { clipboardData: transfer })
        : new DragEvent(kind, { dataTransfer: transfer, cancelable: true });
    document.dispatchEvent(event);
    return event.defaultPrevented;
}"""


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_an_image_may_be_dropped_anywhere_or_pasted(page, way):
    content = base64.b64encode((IMAGES / "sneaker.png").read_bytes()).decode()

    prevented = page.evaluate(DROP, [way, content])

    expect(page.get_by_role("article").get_by_role("heading")).to_have_text(re.compile("^Sneaker, "))
    assert prevented is (way == "drop")  # otherwise the browser would leave the page for the image


def test_without_scripts_the_page_sends_the_form_and_hides_the_rest(browser, server):
    context = browser.new_context(base_url=server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#model")).to_be_hidden()
    expect(page.locator("#samples")).to_be_hidden()

    choose(page, "bag")
    page.get_by_role("button", name="Classify").click()

    expect(page.locator("body")).to_contain_text('"label":"Bag"')
    context.close()


def test_the_keyboard_reaches_everything(page):
    choose(page, "bag")
    expect(page.locator(".bars li")).to_have_count(5)
    reached = set()
    for _ in range(24):
        page.keyboard.press("Tab")
        reached |= set(
            page.evaluate(
                "(({ id, classList, textContent }) => [id, ...classList, textContent])(document.activeElement)"
            )
        )

    assert {"skip", "home", "files", "model", "coverage", "explain", "Prediction details"} <= reached


@pytest.mark.parametrize("address", ["/", "/docs"])
def test_nothing_is_wider_than_a_phone(page, address):
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(address)
    if address == "/":
        choose(page, "bag")
        page.get_by_text("Prediction details").click()

    assert page.evaluate("() => document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ["/", "/docs"])
def test_text_has_enough_contrast(page, address, scheme):
    """By the contrast ratio of the Web Content Accessibility Guidelines 2.2: 4.5 at least."""
    page.emulate_media(color_scheme=scheme)
    page.goto(address)
    if address == "/":
        page.get_by_role("button", name="spiral").click()
        page.set_input_files("#files", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})
        expect(page.locator(".problem:visible")).to_have_count(1)

    faint = page.evaluate(FAINT)

    assert faint == []


FAINT = """() => {
    const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [red, green, blue] = parse(colour).map((level) => level / 255)
            .map((level) => (level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4));
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (parse(colour)[3] !== 0) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const faint = [];
    for (let node = texts.nextNode(); node; node = texts.nextNode()) {
        const element = node.parentElement;
        if (!node.data.trim() || !element.checkVisibility()) continue;
        const [one, other] = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
        if ((one + 0.05) / (other + 0.05) < 4.5) faint.push(node.data.trim());
    }
    return faint;
}"""
