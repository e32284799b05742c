"""The page in a browser: many pictures at once."""

import csv
import io
import json
import re
import shutil

import pytest
from browsing import DRAWINGS, IMAGES, NEEDS_BROWSER, NOTES, change_answers, choose, drop_from_the_desktop, transfer
from PIL import Image
from playwright.sync_api import expect

pytestmark = NEEDS_BROWSER
GARMENTS = ("ankle-boot", "bag", "pullover", "sandal", "sneaker", "trouser")


@pytest.fixture
def table(page):
    """Return the table of six garments, a spiral, and a file that is not a picture."""
    paths = [*(IMAGES / f"{name}.png" for name in GARMENTS), DRAWINGS / "spiral.png"]
    files = [{"name": path.name, "mimeType": "image/png", "buffer": path.read_bytes()} for path in paths]
    page.set_input_files("#files", [*files, NOTES])
    table = page.locator("#many")
    expect(table.get_by_role("status")).to_have_text("8 pictures")
    return table


def names(table):
    return table.locator("tbody .pick").all_inner_texts()


def test_several_pictures_become_a_table_with_the_first_shown_large(page, table):
    rows = table.locator("tbody tr")
    expect(rows).to_have_count(8)
    expect(rows.nth(1)).to_have_text(re.compile(r"bag\.png\s*Bag\s*\d+%"))
    expect(rows.nth(6)).to_contain_text("Unlike anything known")
    expect(rows.nth(7)).to_contain_text("No answer")
    expect(rows.nth(7)).to_contain_text("The image cannot be read")
    expect(page.get_by_role("article").locator("h2")).to_have_text("Ankle boot")
    expect(rows.first.locator("img")).to_be_visible()

    table.get_by_role("button", name="trouser.png", exact=True).click()
    expect(page.get_by_role("article").locator("h2")).to_have_text("Trouser")


def test_the_table_is_sorted_by_any_column_either_way(table):
    by_name = table.get_by_role("button", name="Picture", exact=True)
    by_name.click()
    assert names(table) == sorted(names(table))
    expect(table.locator("th[data-sort=name]")).to_have_attribute("aria-sort", "ascending")
    by_name.click()
    assert names(table) == sorted(names(table), reverse=True)

    table.get_by_role("button", name="Sure", exact=True).click()
    shares = [int(text.rstrip("%")) if text else -1 for text in table.locator(".share").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(("shown", "expected"), [
    ("Failed", ["notes.txt"]), ("Unlike anything known", ["spiral.png"]), ("Sneaker", ["sneaker.png"]),
])  # fmt: skip
def test_the_table_shows_what_is_chosen(table, shown, expected):
    option = table.locator(".filter option", has_text=re.compile(rf"^{shown} \("))
    table.locator(".filter").select_option(option.inner_text())

    assert names(table) == expected
    expect(table.get_by_role("status")).to_have_text("8 pictures")


def test_the_table_is_saved_as_csv(page, table):
    with page.expect_download() as saved:
        table.get_by_role("button", name="Save CSV").click()

    rows = list(csv.DictReader(saved.value.path().read_text().splitlines()))
    assert [row["file"] for row in rows] == names(table)
    assert (rows[1]["label"], rows[1]["model"], rows[1]["set"], rows[1]["novel"]) == (
        "Bag", "fashion-mlp", "Bag", "false",
    )  # fmt: skip
    assert 0.5 < float(rows[1]["probability"]) <= 1
    assert rows[7]["error"].startswith("The image cannot be read: ")


def test_the_table_is_saved_as_json_without_pictures(page, table):
    with page.expect_download() as saved:
        table.get_by_role("button", name="Save JSON").click()

    items = json.loads(saved.value.path().read_text())
    assert [item["file"] for item in items] == names(table)
    assert items[1]["prediction"]["label"] == "Bag"
    assert "seen" not in items[1]["prediction"]
    assert items[7]["error"]["code"] == "unreadable-image"


def test_a_file_named_like_a_formula_is_harmless_in_a_spreadsheet(page):
    bag = (IMAGES / "bag.png").read_bytes()
    named = [{"name": name, "mimeType": "image/png", "buffer": bag} for name in ('=cmd|"!A0.png', "b,c.png")]
    page.set_input_files("#files", named)
    expect(page.locator("#many").get_by_role("status")).to_have_text("2 pictures")

    with page.expect_download() as saved:
        page.get_by_role("button", name="Save CSV").click()

    rows = list(csv.DictReader(saved.value.path().read_text().splitlines()))
    assert [row["file"] for row in rows] == ["'=cmd|\"!A0.png", "b,c.png"]


def test_pictures_are_removed_one_by_one_or_all(page, table):
    table.get_by_role("button", name="Remove ankle-boot.png").click()
    expect(table.locator("tbody tr")).to_have_count(7)
    expect(page.get_by_role("article").locator("h2")).to_have_text("Bag")

    table.get_by_role("button", name="Remove all").click()
    expect(table).to_be_hidden()
    expect(page.locator("#answers")).to_be_hidden()


def test_a_removed_row_leaves_the_table_where_it_is_and_the_focus_at_the_next(page):
    bag = (IMAGES / "bag.png").read_bytes()
    page.set_input_files("#files", [{"name": f"{n}.png", "mimeType": "image/png", "buffer": bag} for n in range(30)])
    expect(page.locator("#many").get_by_role("status")).to_have_text("30 pictures")
    rows = page.locator(".rows")
    remove = page.get_by_role("button", name="Remove 20.png")
    remove.focus()
    scrolled = rows.evaluate("(rows) => rows.scrollTop")
    assert scrolled > 0

    page.keyboard.press("Enter")

    expect(page.get_by_role("button", name="Remove 21.png")).to_be_focused()
    assert rows.evaluate("(rows) => rows.scrollTop") == scrolled
    choose(page, "trouser")
    expect(page.locator("#many tbody .is").first).to_have_text("Trouser")
    expect(page.get_by_role("button", name="Remove 21.png")).to_be_focused()


def test_removed_pictures_make_way_for_new_ones(page):
    busy = {"status": 503, "headers": {"Retry-After": "10", "Content-Type": "application/json"}, "body": "{}"}
    page.route("**/classify?*", lambda route: route.fulfill(**busy))
    choose(page, *GARMENTS)
    expect(page.locator("#many").get_by_role("status")).to_have_text("0 of 6")
    page.wait_for_timeout(300)  # four of them wait for ten seconds by now
    page.get_by_role("button", name="Remove all").click()
    page.unroute_all()

    choose(page, "bag")

    expect(page.get_by_role("article").locator("h2")).to_have_text("Bag", timeout=8_000)


def test_the_filter_ends_with_its_table(page, table):
    option = table.locator(".filter option", has_text="Failed (")
    table.locator(".filter").select_option(option.inner_text())
    table.get_by_role("button", name="Remove all").click()

    choose(page, "bag", "trouser")

    expect(table.locator("tbody tr")).to_have_count(2)


def test_names_with_numbers_are_sorted_by_the_numbers(page):
    bag = (IMAGES / "bag.png").read_bytes()
    unsorted = [f"picture-{number}.png" for number in (10, 9, 1)]
    page.set_input_files("#files", [{"name": name, "mimeType": "image/png", "buffer": bag} for name in unsorted])
    table = page.locator("#many")

    table.get_by_role("button", name="Picture", exact=True).click()

    assert names(table) == unsorted[::-1]


def choose_folder(page, folder):
    page.set_input_files("#folder", folder)


@pytest.mark.parametrize("give", [choose_folder, drop_from_the_desktop])
def test_a_folder_is_taken_with_its_pictures_and_what_is_left_out_is_named(page, tmp_path, give):
    shutil.copytree(IMAGES, tmp_path / "folder" / "below")
    (tmp_path / "folder" / "notes.txt").write_text("hello")
    (tmp_path / "folder" / "._bag.png").write_bytes(b"of macOS")
    (tmp_path / "folder" / "@eaDir").mkdir()
    shutil.copy(IMAGES / "bag.png", tmp_path / "folder" / "@eaDir")
    shutil.copy(IMAGES / "bag.png", tmp_path / "folder" / "bag.MPO")  # a name that browsers do not take for an image's

    give(page, tmp_path / "folder")

    expect(page.locator("#many").get_by_role("status")).to_have_text("7 pictures")
    expect(page.locator("#status")).to_have_text(re.compile(r"^Not pictures, so left out: .*notes\.txt"))
    assert {"folder/bag.MPO", "folder/below/bag.png"} <= set(names(page.locator("#many")))


def test_a_dropped_folder_with_more_files_than_a_browser_lists_at_once_is_taken_whole(page, tmp_path):
    for number in range(250):
        (tmp_path / f"{number}.txt").write_text("hello")
    shutil.copy(IMAGES / "bag.png", tmp_path)

    drop_from_the_desktop(page, tmp_path)

    expect(page.locator("#status")).to_have_text(re.compile(r"^Not pictures, so left out: .* and 245 more\.$"))


def test_several_dropped_pictures_are_all_taken_and_later_ones_stand_above(page):
    transfer(page, "drop", IMAGES / "bag.png", IMAGES / "sandal.png")
    choose(page, "trouser")

    expect(page.locator("#many tbody .is")).to_have_text(["Trouser", "Bag", "Sandal"])


def test_four_are_asked_at_a_time_and_the_progress_is_told(page):
    held, free = [], []
    page.route("**/classify?*", lambda route: route.continue_() if free else held.append(route))
    page.set_input_files("#files", [*(IMAGES / f"{name}.png" for name in GARMENTS), DRAWINGS / "ship.png"])
    progress = page.locator("#many").get_by_role("status")
    expect(progress).to_have_text("0 of 7")
    page.wait_for_timeout(300)  # more would have been asked by now
    assert len(held) == 4

    held[0].continue_()
    held[1].continue_()

    expect(progress).to_have_text("2 of 7")
    page.wait_for_timeout(300)
    assert len(held) == 6
    free.append(True)
    for route in held[2:]:
        route.continue_()
    expect(progress).to_have_text("7 pictures")


def test_of_large_pictures_one_goes_first_so_that_each_arrives_in_time_on_a_slow_network(page):
    noise = io.BytesIO()
    Image.effect_noise((900, 900), 100).save(noise, "png")  # the service refuses what comes too slowly
    held, free = [], []
    page.route("**/classify?*", lambda route: route.continue_() if free else held.append(route))
    page.set_input_files(
        "#files", [{"name": f"{n}.png", "mimeType": "image/png", "buffer": noise.getvalue()} for n in range(3)]
    )
    progress = page.locator("#many").get_by_role("status")
    expect(progress).to_have_text("0 of 3")
    page.wait_for_timeout(300)  # more would have been asked by now
    assert len(held) == 1
    with page.expect_request("**/classify?*"):
        choose(page, "bag")  # a small one does not wait for them

    free.append(True)
    for route in held:
        route.continue_()

    expect(progress).to_have_text("4 pictures")
    expect(page.locator("#many .failed")).to_have_count(0)


def test_asked_again_are_all_that_failed_alike(page):
    page.set_input_files("#files", NOTES)
    expect(page.locator(".problem")).to_contain_text("The image cannot be read")
    page.context.set_offline(True)
    choose(page, "bag", "trouser", "sandal")
    expect(page.locator("#many .failed")).to_have_count(4)
    expect(page.locator("#many h2")).to_have_text("4 pictures 4 failed")
    page.context.set_offline(False)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/classify" in request.url else None)

    page.get_by_role("button", name="Try again").press("Enter")

    expect(page.get_by_role("article").locator("h2")).to_be_focused()
    expect(page.locator("#many tbody .is")).to_have_text(["Bag", "Trouser", "Sandal", "No answer"])
    expect(page.locator("#many h2")).to_have_text("4 pictures 1 failed")
    assert len(asked) == 3


def test_of_many_likely_labels_the_first_are_named(page):
    change_answers(page, set=["Bag", *(f"label {n}" for n in range(1, 10))])

    choose(page, "bag", "trouser")

    others = "Could also be label 1, label 2, label 3, label 4, label 5 and 4 more."
    expect(page.locator(".others")).to_have_text(others)
    expect(page.locator("#many .remark").first).to_have_text("or label 1, label 2, label 3 and 6 more")


def test_on_paper_the_table_is_whole(page):
    bag = (IMAGES / "bag.png").read_bytes()
    page.set_input_files("#files", [{"name": f"{n}.png", "mimeType": "image/png", "buffer": bag} for n in range(20)])
    expect(page.locator("#many").get_by_role("status")).to_have_text("20 pictures")

    page.emulate_media(media="print")

    assert page.locator(".rows").evaluate("(rows) => rows.scrollHeight - rows.clientHeight") == 0
