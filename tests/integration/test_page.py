"""The page in a browser: one picture, from the drop to the answer."""

import hashlib
import re
import shutil
import subprocess
import sys

import pytest
from browsing import DRAWINGS, IMAGES, NEEDS_BROWSER, NO_STORAGE, NOTES, TIMEOUT, choose, transfer
from PIL import Image
from playwright.sync_api import expect
from unmeasured import unmeasured

from serving.settings import Settings

pytestmark = NEEDS_BROWSER
ANSWER_SECONDS = 30  # after its upload, that a request may wait and compute
JARGON = re.compile("coverage|calibrat|by colour|conformal|label set", re.IGNORECASE)


def test_a_chosen_picture_gets_its_label_and_what_it_could_also_be(page):
    choose(page, "bag")

    answer = page.get_by_role("article")
    expect(answer.get_by_role("heading", level=2)).to_have_text("Bag")
    expect(answer.locator(".sure")).to_have_text(re.compile(r"^\d+\.\d%$"))
    expect(answer.locator(".others")).to_have_text("Nothing else is likely.")
    expect(answer.locator(".who")).to_have_text("fashion-mlp, version 2")
    expect(answer.locator(".time")).to_have_text(re.compile(r"^\d+ ms$"))
    expect(answer.locator(".novel")).to_be_hidden()
    assert answer.locator(".pixels").evaluate("image => image.decode().then(() => image.naturalWidth)") == 28
    expect(page.locator("#spoken")).to_have_text("bag.png: Bag")

    choose(page, "pullover")
    page.get_by_role("combobox", name="Model").select_option("cifar-cnn")
    expect(answer.locator(".others")).to_have_text(re.compile("^Could also be .+|^$"))


def test_nothing_is_said_in_the_words_of_the_field_before_the_first_click(page):
    choose(page, "bag")
    expect(page.locator(".finding")).to_contain_text("Bag falls from")

    assert JARGON.findall(page.locator("body").inner_text()) == []


def test_a_picture_unlike_the_training_data_is_called_so(page):
    page.get_by_role("button", name="spiral").click()

    expect(page.locator(".novel")).to_have_text(re.compile("^Unlike anything it was trained on. The label is a guess"))
    expect(page.locator(".others")).to_have_text("")
    page.get_by_text("Details").click()
    expect(page.locator(".set")).to_contain_text("It promises nothing for a picture like this.")


def test_the_three_views_show_the_picture_what_was_seen_and_what_mattered(page):
    choose(page, "bag")

    effect = re.compile(r"^With the reddest part covered, Bag falls from \d+% to \d+%\.$")
    expect(page.locator(".finding")).to_have_text(effect)
    expect(page.locator(".scale")).to_have_text(re.compile(r"little\s+much"))
    expect(page.locator(".overlay")).to_be_visible()
    upload, overlay = page.locator(".mattered .upload").bounding_box(), page.locator(".overlay").bounding_box()
    assert overlay == upload
    expect(page.locator("figcaption")).to_have_text(["bag.png", "What the model saw", "What mattered"])


def test_where_no_single_part_decides_the_page_says_so(page, tmp_path):
    Image.new("L", (28, 28)).save(tmp_path / "black.png")
    page.set_input_files("#files", tmp_path / "black.png")

    expect(page.locator(".finding")).to_contain_text("No single part decides")
    expect(page.locator(".overlay")).to_be_hidden()
    expect(page.locator(".scale")).to_be_hidden()


def test_each_label_can_be_asked_what_mattered_for_it(page):
    choose(page, "bag")
    page.get_by_text("Details").click()
    expect(page.locator(".bars li")).to_have_count(5)

    label = page.locator(".answer .bars button").nth(1)
    label.click()

    expect(label).to_have_attribute("aria-pressed", "true")
    name = label.locator(".what").inner_text()
    expect(page.locator(".finding")).to_contain_text(name)


def test_the_details_have_the_model_file_and_the_times(page):
    choose(page, "bag")
    page.get_by_text("Details").click()

    expect(page.locator(".facts")).to_contain_text(re.compile("fashion-mlp:2 sha256:[0-9a-f]{64}"))
    expect(page.locator(".facts")).to_contain_text(re.compile(r"decode \d+\.\d ms, fit \d+\.\d ms, infer \d+\.\d ms"))


def test_the_answer_has_the_chosen_coverage(page):
    choose(page, "pullover")
    page.get_by_text("Details").click()
    expect(page.locator(".set")).to_contain_text("in 95% of cases")

    page.get_by_label("Coverage").select_option("0.99")

    expect(page.locator(".set")).to_contain_text("in 99% of cases")


def test_the_request_can_be_copied_as_a_command_without_what_only_the_page_needs(page):
    page.get_by_role("combobox", name="Model").select_option("fashion-mlp")
    choose(page, "bag")
    page.get_by_text("Do this in a program").click()

    page.get_by_role("button", name="Copy").click()

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    host = page.evaluate("() => location.origin")
    assert page.evaluate("() => navigator.clipboard.readText()") == (
        f"curl --data-binary @'bag.png' -H 'Content-Type: image/png' '{host}/classify?model=fashion-mlp'"
    )


@pytest.mark.parametrize("language", ["curl", "Python", "Python client"])
def test_what_is_copied_runs_and_gives_the_same_label(page, language):
    page.get_by_role("combobox", name="Model").select_option("fashion-mlp")
    choose(page, "bag")
    page.get_by_text("Do this in a program").click()
    page.get_by_role("button", name=language, exact=True).click()
    program = page.locator(".command code").inner_text()

    command = ["bash", "-c", program] if language == "curl" else [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=IMAGES, env=unmeasured(), capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert "Bag" in done.stdout


def test_what_is_copied_as_javascript_runs_and_gives_the_same_label(page):
    choose(page, "bag")
    page.get_by_text("Do this in a program").click()
    page.get_by_role("button", name="JavaScript").click()
    program = page.locator(".command code").inner_text().replace("console.log(", "return (")

    drawing = "await (await fetch('/static/handbag.png')).blob()"

    assert page.evaluate(f"async () => {{ const file = {drawing}; {program} }}") == "Bag"


def test_a_file_named_like_markup_is_shown_as_text(page):
    name = "<img src=x onerror=alert(1)>'.png"
    page.set_input_files("#files", {"name": name, "mimeType": "image/png", "buffer": (IMAGES / "bag.png").read_bytes()})

    expect(page.locator(".name")).to_have_text(name)
    page.get_by_text("Do this in a program").click()
    expect(page.locator(".command code")).to_contain_text(r"@'<img src=x onerror=alert(1)>'\''.png'")


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_may_be_dropped_anywhere_or_pasted(page, way):
    prevented = transfer(page, way, IMAGES / "sneaker.png")

    expect(page.get_by_role("article").get_by_role("heading", level=2)).to_have_text("Sneaker")
    assert prevented is (way == "drop")  # otherwise the browser would leave the page for the image


@pytest.mark.parametrize("way", ["drop", "paste"])
@pytest.mark.parametrize(("text", "reason"), [
    ("https://example.org/cat.jpg", "That is the address of a picture."), ("a cat", "That is text, not a picture."),
    ("www.example.org/cat.jpg", "That is the address of a picture."), ("blob:x", "That is the address of a picture."),
])  # fmt: skip
def test_an_address_or_a_text_is_refused_in_words(page, way, text, reason):
    transfer(page, way, texts=(("text/plain", text),))

    expect(page.locator("#status")).to_contain_text(reason)
    expect(page.locator("#answers")).to_be_hidden()


def test_a_file_that_has_gone_is_said_to_have_gone(page, tmp_path):
    shutil.copy(IMAGES / "bag.png", tmp_path)
    held = []
    page.route("**/classify?*", lambda route: held.append(route))
    page.set_input_files("#files", tmp_path / "bag.png")
    expect(page.get_by_role("article").locator("h2")).to_have_text("Looking …")
    (tmp_path / "bag.png").unlink()
    page.unroute_all(behavior="ignoreErrors")
    page.context.set_offline(True)
    page.locator("#model").select_option("fashion-mlp")

    expect(page.locator(".problem")).to_contain_text("The file cannot be read any more")
    expect(page.locator(".advice")).to_have_text("Add the file again.")


def test_a_picture_pasted_onto_a_dialog_is_shown(page):
    page.get_by_role("button", name="Draw").click()

    transfer(page, "paste", IMAGES / "sneaker.png")

    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("article").locator("h2")).to_have_text("Sneaker")


def test_formatted_text_is_refused_in_words(page):
    transfer(page, "paste", texts=(("text/html", "<b>a cat</b>"),))

    expect(page.locator("#status")).to_contain_text("That is text, not a picture.")


def test_clicked_twice_the_camera_is_off_once_its_dialog_is_closed(page):
    page.evaluate("""() => {
        window.streams = [];
        const media = navigator.mediaDevices;
        const open = media.getUserMedia.bind(media);
        media.getUserMedia = async (wanted) => {
            const stream = await open(wanted);
            streams.push(stream);
            return stream;
        };
    }""")
    page.locator("#camera").evaluate("(button) => { button.focus(); button.click(); button.click(); }")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_hidden()

    page.wait_for_timeout(300)  # a second stream would be on by now
    states = page.evaluate("() => streams.flatMap((stream) => stream.getTracks()).map((track) => track.readyState)")
    assert states == ["ended"]
    expect(page.locator("#camera")).to_be_focused()


def test_the_camera_takes_a_picture(page):
    page.get_by_role("button", name="Use the camera").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.wait_for_function("() => document.querySelector('video').videoWidth > 0")

    page.get_by_role("button", name="Take the picture").click()

    expect(page.locator(".name")).to_have_text(re.compile(r"^camera-\d{6}\.jpg$"))
    expect(page.locator(".sure")).to_be_visible()
    assert page.evaluate("() => document.querySelector('video').srcObject") is None


def test_a_drawing_is_answered_while_it_is_drawn_and_can_be_kept(page):
    page.get_by_role("button", name="Draw").click()
    box = page.locator("#board").bounding_box()
    x, y = box["x"], box["y"]
    page.get_by_label("Fill outlines").check()
    outline = [(60, 100), (90, 60), (190, 60), (220, 100), (220, 230), (60, 230), (60, 100)]
    page.mouse.move(x + outline[0][0], y + outline[0][1])
    page.mouse.down()
    for dx, dy in outline:
        page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up()

    expect(page.locator("#draw-answer li")).to_have_count(3)
    expect(page.locator("#draw-answer img")).to_be_visible()
    page.get_by_role("button", name="Use the drawing").click()
    expect(page.locator(".name")).to_have_text("drawing.png")
    expect(page.locator(".who")).to_contain_text("fashion-mlp")


COUNT_URLS = """() => {
    window.held = 0;
    const [create, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
    URL.createObjectURL = (blob) => { window.held += 1; return create(blob); };
    URL.revokeObjectURL = (url) => { window.held -= 1; revoke(url); };
}"""


def test_a_question_about_a_drawing_ends_with_the_next_and_keeps_no_file(page):
    page.evaluate(COUNT_URLS)
    routes, ended = [], []
    page.route("**/classify?*", lambda route: route.continue_() if routes else routes.append(route))
    page.on("requestfailed", lambda request: ended.append(request.failure))
    page.get_by_role("button", name="Draw").click()
    for _ in range(2):
        with page.expect_request("**/classify?*"):
            page.locator("#board").click()

    expect(page.locator("#draw-answer li")).to_have_count(3)
    assert {*ended} == {"net::ERR_ABORTED"}  # twice where a slow machine asks twice for a click
    page.wait_for_function("window.held <= 0")


def test_the_question_what_mattered_ends_with_the_next_picture(page):
    routes, ended = [], []
    page.route("**/explain?*", lambda route: route.continue_() if routes else routes.append(route))
    page.on("requestfailed", lambda request: ended.append(request.failure) if "/explain" in request.url else None)
    with page.expect_request("**/explain?*"):
        choose(page, "bag")

    choose(page, "trouser")

    expect(page.locator(".finding")).to_contain_text("Trouser")
    expect(page.locator(".overlay")).to_be_visible()
    assert ended == ["net::ERR_ABORTED"]


def test_the_board_can_be_drawn_on_with_the_keys_undone_and_wiped(page):
    page.get_by_role("button", name="Draw").click()
    page.locator("#board").focus()
    pixels = "document.querySelector('#board').getContext('2d').getImageData(0, 0, 280, 280).data"
    painted = f"() => {pixels}.some((level, place) => place % 4 < 3 && level)"

    page.keyboard.press("Space")
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight"):
        for _ in range(4):
            page.keyboard.press(key)
    page.keyboard.press("Space")
    expect(page.locator("#draw-answer li")).to_have_count(3)
    assert page.evaluate(painted)

    page.keyboard.press("Space")
    page.get_by_role("button", name="Start again").click()
    page.locator("#board").focus()
    page.keyboard.press("ArrowLeft")  # the pen is up, as it was at first
    assert not page.evaluate(painted)
    page.keyboard.press("Space")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(painted)

    page.get_by_role("button", name="Undo").click()
    assert not page.evaluate(painted)
    expect(page.locator("#draw-answer h3")).to_have_text("Draw a garment: a shoe, a bag, trousers.")


def test_a_palm_beside_the_pen_draws_nothing(page):
    page.get_by_role("button", name="Draw").click()
    pixels = page.locator("#board").evaluate("""(board) => {
        const box = board.getBoundingClientRect();
        board.setPointerCapture = () => {}; // these pointers do not exist
        const send = (kind, pointerId, x, y) => board.dispatchEvent(
            new PointerEvent(kind, { pointerId, clientX: box.left + x, clientY: box.top + y, cancelable: true }));
        send("pointerdown", 1, 20, 20);
        send("pointermove", 1, 40, 20);
        send("pointerdown", 2, 200, 250);
        send("pointermove", 2, 210, 250);
        send("pointermove", 1, 60, 20);
        const { data } = board.getContext("2d").getImageData(0, 140, 280, 140);
        return data.filter((level, place) => place % 4 < 3 && level).length;
    }""")

    assert pixels == 0


def test_a_text_file_is_refused_in_words_where_the_picture_would_be(page):
    page.set_input_files("#files", NOTES)

    answer = page.get_by_role("article")
    expect(answer.get_by_role("heading", level=2)).to_have_text("No answer")
    expect(answer.locator(".problem")).to_contain_text("The image cannot be read")
    expect(answer.locator(".advice")).to_have_text(
        "Open it in a picture viewer, save it as JPEG or PNG, and try again."
    )
    expect(answer.locator(".views")).to_be_hidden()
    expect(page.locator("#spoken")).to_have_text("notes.txt: No answer")


def test_an_empty_file_is_refused_with_what_to_do(page):
    page.set_input_files("#files", {"name": "empty.png", "mimeType": "image/png", "buffer": b""})

    expect(page.locator(".problem")).to_contain_text("The file is empty")
    expect(page.locator(".advice")).to_have_text("Choose another file, or save the picture again.")


@pytest.mark.parametrize(("status", "body", "said", "advice"), [
    (503, "", "In its place a proxy answers with status 503.", "Wait a little, then try again."),
    (502, "null", "In its place a proxy answers with status 502.", "Wait a little, then try again."),
    (413, "<html>", "A proxy before the service refuses it.", "Save the picture smaller, and try again."),
    (200, "null", "The answer is not from the service", "Try again."),
    (200, '{"ok": true}', "The answer is not from the service", "Try again."),
    (200, '{"predictions": null}', "The answer is not from the service", "Try again."),
    (200, '{"predictions": [{}]}', "The answer is not from the service", "Try again."),
])  # fmt: skip
def test_what_a_proxy_answers_is_said_in_words(page, status, body, said, advice):
    page.route("**/classify?*", lambda route: route.fulfill(status=status, body=body))

    choose(page, "bag")

    expect(page.locator(".problem")).to_contain_text(said)
    expect(page.locator(".advice")).to_contain_text(advice)


def test_a_refusal_that_holds_for_an_hour_is_said_at_once(page):
    headers = {"Retry-After": "3000", "Content-Type": "application/problem+json"}
    problem = {"title": "Too many images", "code": "rate-limited", "detail": "More are free in 3,000 s."}
    page.route("**/classify?*", lambda route: route.fulfill(status=429, headers=headers, json=problem))

    choose(page, "bag")

    expect(page.locator(".problem")).to_contain_text("More are free in 3,000 s.", timeout=8_000)


@pytest.mark.parametrize("body", ["null", "{}", '{"grid": null}'])
def test_what_is_not_an_explanation_is_said_in_words(page, body):
    page.route("**/explain?*", lambda route: route.fulfill(body=body))

    choose(page, "bag")

    expect(page.locator(".finding")).to_contain_text("The answer is not from the service")


def test_a_drawing_that_cannot_be_fetched_is_reported(page):
    page.context.set_offline(True)

    page.get_by_role("button", name="spiral").click()

    expect(page.locator("#status")).to_contain_text("The service does not answer")


def test_an_upload_may_take_as_long_as_the_service_allows(page):
    page.evaluate("""() => {
        const timeout = AbortSignal.timeout;
        AbortSignal.timeout = (limit) => timeout(window.limit = Math.max(limit, window.limit ?? 0));
    }""")
    size = 6_400_000

    with page.expect_response("**/classify?*"):
        page.set_input_files("#files", [{"name": "a.png", "mimeType": "image/png", "buffer": bytes(size)}])

    seconds = Settings().body_seconds + size / 64_000
    assert page.evaluate("window.limit") >= 1_000 * (seconds + ANSWER_SECONDS)


def test_a_service_that_does_not_answer_is_reported_and_asked_again(page):
    page.context.set_offline(True)
    choose(page, "bag")
    expect(page.locator(".problem")).to_contain_text("The service does not answer")
    expect(page.locator(".advice")).to_contain_text("Check that the service is running")

    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()

    expect(page.get_by_role("article").get_by_role("heading", level=2)).to_have_text("Bag")


def test_of_a_file_that_the_browser_cannot_show_the_page_says_so_and_shows_what_was_seen(page, tmp_path):
    Image.open(IMAGES / "bag.png").save(tmp_path / "bag.tiff")
    page.set_input_files("#files", tmp_path / "bag.tiff")

    expect(page.get_by_role("article").get_by_role("heading", level=2)).to_have_text("Bag")
    expect(page.locator(".original .upload")).to_be_hidden()
    expect(page.get_by_text("The browser cannot show this kind of file.")).to_be_visible()
    expect(page.locator(".pixels").first).to_be_visible()

    choose(page, "bag")
    expect(page.locator(".original .upload")).to_be_visible()
    assert "cannot show" not in page.locator(".original").aria_snapshot()


def test_the_dialog_that_chooses_files_lists_photos_of_phones_where_they_are_no_known_images(page):
    assert page.locator("#files").get_attribute("accept").split(",") == ["image/*", ".heic", ".heif"]


def test_a_damaged_jpeg_leaves_no_white_block_in_the_dark(page, tmp_path):
    Image.open(DRAWINGS / "ship.png").convert("RGB").resize((400, 400)).save(tmp_path / "ship.jpg", quality=95)
    whole = (tmp_path / "ship.jpg").read_bytes()
    (tmp_path / "ship.jpg").write_bytes(whole[: len(whole) // 4])
    page.emulate_media(color_scheme="dark")

    page.set_input_files("#files", tmp_path / "ship.jpg")

    expect(page.get_by_role("article")).to_have_attribute("aria-busy", "false")
    grounds = page.locator(".frame, .frame img").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert "rgb(255, 255, 255)" not in grounds


def test_a_page_below_a_path_asks_with_the_key_that_it_is_given_and_forgets_it_with_the_tab(browser, start, tmp_path):
    (tmp_path / "keys.txt").write_text(f"ann {hashlib.sha256(b'one').hexdigest()}")
    locked = start(keys_file=str(tmp_path / "keys.txt"), root_path="/ml", workers="1")
    context = browser.new_context()
    page, other = context.new_page(), context.new_page()
    page.goto(f"{locked.url}/ml/")

    choose(page, "bag")
    expect(page.get_by_role("article").locator(".problem")).to_contain_text("A key is needed", timeout=TIMEOUT)
    page.get_by_label("Key", exact=True).fill("one")
    page.get_by_label("Key", exact=True).blur()
    expect(page.get_by_role("article").locator("h2")).to_have_text("Bag")
    expect(page.locator(".overlay")).to_be_visible()
    page.get_by_role("button", name="About the models").click()
    expect(page.get_by_role("dialog").get_by_role("img", name="Confusion matrix")).to_be_visible()

    page.reload()
    expect(page.get_by_label("Key", exact=True)).to_have_value("one")
    other.goto(f"{locked.url}/ml/")
    expect(other.get_by_label("Key", exact=True)).to_have_value("")
    context.close()


def test_a_key_is_taken_with_enter_also_where_the_browser_forbids_storage(browser, start, tmp_path):
    (tmp_path / "keys.txt").write_text(f"ann {hashlib.sha256(b'one').hexdigest()}")
    locked = start(keys_file=str(tmp_path / "keys.txt"), workers="1")
    page = browser.new_page()
    page.add_init_script(NO_STORAGE)
    page.goto(locked.url)
    key = page.get_by_label("Key", exact=True)

    key.fill("one\N{RIGHT SINGLE QUOTATION MARK}")
    choose(page, "bag")
    expect(page.locator(".problem")).to_contain_text("That is not a key")
    key.fill("one")
    key.press("Enter")

    expect(page.get_by_role("article").locator("h2")).to_have_text("Bag")
    expect(key).to_be_focused()
    page.close()


def test_an_unknown_page_leads_to_those_that_exist(page, page_server):
    page.goto(f"{page_server.url}/nothing/here")

    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    page.get_by_role("link", name="start page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What is in the picture?")


def test_without_scripts_the_form_is_answered_with_a_page(browser, page_server):
    context = browser.new_context(
        base_url=page_server.url, java_script_enabled=False, viewport={"width": 360, "height": 640}
    )
    page = context.new_page()
    page.goto("/")
    for needs_script in (page.locator("#samples"), page.get_by_label("Compare with"), page.locator("#draw")):
        expect(needs_script).to_be_hidden()
    chooser = page.locator("#files").bounding_box()
    assert chooser
    assert 0 <= chooser["x"] <= 360 - chooser["width"]
    expect(page.locator("#files")).to_have_css("color", page.locator("body").evaluate("e => getComputedStyle(e).color"))

    choose(page, "bag")
    page.get_by_role("combobox", name="Model").select_option("fashion-mlp")
    page.get_by_role("button", name="Classify").click()

    expect(page.get_by_role("heading", level=2)).to_have_text(re.compile(r"^Bag, \d+\.\d%$"))
    page.get_by_role("link", name="Another picture").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What is in the picture?")
    context.close()
