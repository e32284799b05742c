"""The pages in every state: on a phone, in the dark, with the keyboard alone, and to axe."""

import io
from collections.abc import Callable

import pytest
from browsing import AXE, DRAWINGS, IMAGES, NEEDS_BROWSER, NOTES, VIEWPORT, axe, change_answers, choose, faint_texts
from PIL import Image
from playwright.sync_api import Page, expect

pytestmark = NEEDS_BROWSER
PHONE = {"width": 360, "height": 740}


def one(page: Page) -> None:
    choose(page, "bag")
    expect(page.locator(".finding")).to_contain_text("Bag falls from")
    for summary in page.locator(".answer summary:visible").all():
        summary.click()


def novel(page: Page) -> None:
    page.get_by_role("button", name="spiral").click()
    expect(page.locator(".novel")).to_be_visible()


def broken(page: Page) -> None:
    page.set_input_files("#files", NOTES)
    expect(page.locator(".problem")).to_be_visible()


def many(page: Page) -> None:
    long = {"name": f"{'long name ' * 9}.png", "mimeType": "image/png", "buffer": (IMAGES / "bag.png").read_bytes()}
    ship = {"name": "ship.png", "mimeType": "image/png", "buffer": (DRAWINGS / "ship.png").read_bytes()}
    page.set_input_files("#files", [long, ship, NOTES])
    expect(page.locator("#many").get_by_role("status")).to_have_text("3 pictures")


def compared(page: Page) -> None:
    page.get_by_label("Compare with").select_option("Things and animals")
    choose(page, "bag")
    expect(page.locator("article .overlay")).to_have_count(2)
    expect(page.locator("article .sure").nth(1)).to_be_visible()


def card(page: Page) -> None:
    page.get_by_role("button", name="About the models").click()
    expect(page.get_by_role("dialog").get_by_role("img", name="Confusion matrix")).to_be_visible()


def drawing(page: Page) -> None:
    page.get_by_role("button", name="Draw").click()
    page.locator("#board").click()
    expect(page.locator("#draw-answer li")).to_have_count(3)


def refused(page: Page) -> None:
    page.evaluate("() => { const clipboardData = new DataTransfer(); clipboardData.setData('text/plain', 'cat');"
                  " document.dispatchEvent(new ClipboardEvent('paste', { clipboardData })); }")  # fmt: skip
    expect(page.locator("#status")).to_contain_text("That is text")


def nothing(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def docs(page: Page) -> None:
    page.goto("/docs")
    expect(page.get_by_role("heading", level=1)).to_have_text("API")


def unknown(page: Page) -> None:
    page.goto("/nothing")


STATES = [nothing, one, novel, broken, many, compared, card, drawing, refused, docs, unknown]
in_each_state = pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
NOTHING = {"light": [], "dark": []}


def in_both_schemes(page: Page, find: Callable[[Page], list[str]]) -> dict[str, list[str]]:
    """Return what is found in the light and in the dark."""
    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found[scheme] = find(page)
    return found


@in_each_state
def test_in_each_state_the_page_can_be_read(page, state):
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(PHONE)

    state(page)

    assert page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    for dialog in page.locator("dialog[open]").all():
        assert dialog.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")
    page.set_viewport_size(VIEWPORT)
    assert in_both_schemes(page, faint_texts) == NOTHING


@pytest.mark.parametrize("state", [one, card, docs], ids=lambda state: state.__name__)
def test_on_a_phone_whose_text_is_twice_as_large_the_page_grows_and_fits(page, state):
    page.set_viewport_size(PHONE)
    state(page)

    page.evaluate("() => { document.documentElement.style.fontSize = '200%'; }")

    assert page.evaluate("() => getComputedStyle(document.body).fontSize") == "32px"
    assert page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    for box in page.locator("dialog[open], .contents").all():
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
    for choice in page.locator("dialog[open] select").all():
        choice.click(trial=True)  # fails where something else lies over it


@pytest.mark.skipif(not AXE.exists(), reason="axe is not installed: npm install")
@in_each_state
def test_axe_finds_nothing(page, state):
    state(page)

    assert in_both_schemes(page, axe) == NOTHING


def on_a_phone(browser, page_server):
    context = browser.new_context(base_url=page_server.url, viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto("/")
    return page


def test_a_phone_takes_a_picture_with_its_own_camera(browser, page_server):
    page = on_a_phone(browser, page_server)

    camera = page.get_by_label("Take a picture")
    assert (camera.get_attribute("capture"), camera.get_attribute("accept")) == ("environment", "image/*")
    expect(page.get_by_text("Take a picture")).to_be_visible()
    expect(page.get_by_role("button", name="Use the camera")).to_be_hidden()
    camera.set_input_files(IMAGES / "bag.png")
    expect(page.get_by_role("article").locator("h2")).to_have_text("Bag")
    page.context.close()


def test_on_a_phone_the_answer_is_in_view_at_once(browser, page_server):
    page = on_a_phone(browser, page_server)

    choose(page, "bag")

    expect(page.locator(".finding")).to_contain_text("Bag falls from")
    for part in (".label", ".sure", ".seen .pixels"):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= PHONE["height"]
    page.context.close()


def test_on_a_phone_many_pictures_stay_short(browser, page_server):
    page = on_a_phone(browser, page_server)

    for count in (6, 6, 3):
        page.set_input_files("#files", sorted(IMAGES.glob("*.png"))[:count])

    expect(page.locator("#many").get_by_role("status")).to_have_text("15 pictures")
    assert page.evaluate("() => document.documentElement.scrollHeight") < 2_000
    page.context.close()


def test_on_a_phone_a_picture_of_many_has_its_remark_below_its_label(browser, page_server):
    page = on_a_phone(browser, page_server)

    page.set_input_files("#files", [DRAWINGS / "spiral.png", IMAGES / "bag.png"])
    expect(page.locator("#many").get_by_role("status")).to_have_text("2 pictures")

    expect(page.locator(".remark").first).to_be_hidden()
    below = "cells => cells.map(cell => getComputedStyle(cell, '::after').content)"
    assert page.locator("tbody .is").evaluate_all(below) == ['"Unlike anything known"', '""']
    page.context.close()


def test_on_a_phone_a_long_label_leaves_its_share_in_view(browser, page_server):
    page = on_a_phone(browser, page_server)
    change_answers(page, label="running_shoes_for_children_and_adults_size_28_to_45")

    choose(page, "bag", "sneaker")

    expect(page.locator("#many").get_by_role("status")).to_have_text("2 pictures")
    for share in page.locator(".share").all():
        box = share.bounding_box()
        assert box["x"] + box["width"] <= PHONE["width"]
    page.context.close()


def test_on_a_phone_on_its_side_there_is_room_beside_the_board_to_scroll(page):
    page.set_viewport_size({"width": 640, "height": 360})

    page.get_by_role("button", name="Draw").click()

    dialog, board = (page.locator(part).bounding_box() for part in ("#draw-dialog", "#board"))
    assert board["height"] < 0.7 * dialog["height"]
    assert board["width"] == board["height"]


def test_with_forced_colours_bars_and_the_legend_keep_theirs(page):
    page.emulate_media(forced_colors="active")
    choose(page, "bag")
    expect(page.locator(".finding")).to_contain_text("Bag falls from")
    page.locator(".answer summary").first.click()

    for part in (".ramp", ".meter", ".bars.top .bar"):
        image = Image.open(io.BytesIO(page.locator(part).first.screenshot())).convert("RGB")
        assert any(max(colour) - min(colour) > 20 for _, colour in image.getcolors(image.width * image.height))
    pressed, other = (page.locator(".bars.top .bar").nth(place) for place in (0, 1))
    width = "(one) => getComputedStyle(one).borderTopWidth"
    assert pressed.evaluate(width) != other.evaluate(width)


def test_the_keyboard_alone_classifies_and_explains(page):
    with page.expect_file_chooser() as chooser:
        page.locator("#files").focus()
        page.keyboard.press("Space")
    chooser.value.set_files(IMAGES / "bag.png")
    expect(page.locator(".finding")).to_contain_text("Bag falls from")

    page.locator(".answer summary").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.locator(".answer .bars button").nth(1)).to_have_attribute("aria-pressed", "true")


def test_the_keyboard_reaches_everything(page):
    choose(page, "bag")
    expect(page.locator(".finding")).to_contain_text("Bag falls from")
    reached = set()
    for _ in range(24):
        page.keyboard.press("Tab")
        reached |= set(
            page.evaluate(
                "(({ id, classList, textContent }) => [id, ...classList, textContent])(document.activeElement)"
            )
        )

    assert {"skip", "home", "files", "folder", "camera", "draw", "model", "compare", "about"} <= reached
    assert {"who", "Details", "Do this in a program"} <= reached


def test_a_dialog_closes_with_escape_and_gives_the_focus_back(page):
    page.get_by_role("button", name="About the models").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()

    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="About the models")).to_be_focused()
