"""The API page in a browser: found, folded and tried on the spot."""

import re

import pytest
from browsing import IMAGES, NEEDS_BROWSER
from playwright.sync_api import expect

pytestmark = NEEDS_BROWSER
MAX_HEIGHT = 8_000  # pixels at 1440; without folding it would be thirty thousand


@pytest.fixture
def docs(page):
    page.goto("/docs")
    return page


def test_the_page_is_folded_but_for_classify_with_the_contents_beside_it(docs):
    docs.set_viewport_size({"width": 1440, "height": 900})

    expect(docs.locator("details.call[open]")).to_have_count(1)
    expect(docs.locator("#classify")).to_have_attribute("open", "")
    assert docs.evaluate("() => document.documentElement.scrollHeight") < MAX_HEIGHT
    docs.evaluate("() => scrollTo(0, 3000)")
    expect(docs.get_by_role("navigation", name="Contents")).to_be_in_viewport()


def test_the_contents_open_what_they_lead_to(docs):
    docs.get_by_role("navigation", name="Contents").get_by_role("link", name="POST /explain").click()

    expect(docs.locator("#explain")).to_have_attribute("open", "")
    expect(docs.locator("#explain summary").first).to_be_in_viewport()


def test_a_link_to_what_a_search_has_hidden_ends_the_search(docs):
    docs.get_by_label("Search").fill("occlusion sensitivity")

    docs.evaluate("() => { location.hash = '#classify'; }")

    expect(docs.locator("#classify")).to_be_in_viewport()
    expect(docs.get_by_label("Search")).to_have_value("")


def test_an_address_that_is_not_text_opens_nothing(page):
    page.goto("/docs#%E0")  # an error in the page fails the test

    expect(page.locator("details.call[open]")).to_have_count(1)


def test_a_search_leaves_what_has_all_words(docs):
    docs.get_by_label("Search").fill("occlusion sensitivity")

    expect(docs.locator("details.call:visible > summary")).to_have_text([re.compile("/explain")])
    expect(docs.locator("#found")).to_have_text(re.compile(r"^1 of \d+ calls and types$"))
    docs.get_by_label("Search").fill("")
    expect(docs.locator("#classify")).to_be_visible()


def test_a_call_is_tried_with_a_file(docs):
    form = docs.locator("#classify form.try")
    assert form.get_by_label("File").get_attribute("accept") == "image/*,.heic,.heif"
    form.get_by_label("File").set_input_files(IMAGES / "bag.png")

    form.get_by_role("button", name="Try it").click()

    expect(form.locator("pre")).to_contain_text("200 OK")
    expect(form.locator("pre")).to_contain_text('"label": "Bag"')


def test_every_call_that_can_be_tried_is_answered(docs):
    docs.locator("details.call").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    forms = docs.locator("form.try")
    assert forms.count() >= 15

    for form in forms.all():
        for name, value in (("file", "README.md"), ("version", "2")):
            if form.locator(f"[name={name}]").count():
                form.locator(f"[name={name}]").fill(value)
        form.get_by_role("button", name="Try it").click()
        expect(form.locator("pre")).to_have_text(re.compile("^200"))
