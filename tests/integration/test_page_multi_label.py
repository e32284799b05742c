"""The page in a browser, with a model that gives a picture several labels or none."""

import csv
import re

import pytest
from browsing import AXE, IMAGES, NEEDS_BROWSER, axe, choose
from multi_label_model import write_multi_label
from playwright.sync_api import expect

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def page_server(start, models, tmp_path_factory):
    """Return a service with that model alone."""
    folder = tmp_path_factory.mktemp("several")
    write_multi_label(models, folder)
    return start(models=str(folder), workers="1")


def test_each_label_has_its_bar(page):
    choose(page, "ankle-boot")

    article = page.get_by_role("article")
    expect(article.locator("h2")).to_have_text("Ankle boot, Sneaker")
    expect(article.locator(".given .what")).to_have_text(["Ankle boot", "Sneaker"])
    expect(article.locator(".given .percent").first).to_have_text(re.compile(r"\d+\.\d%"))
    expect(article.locator(".meter")).to_be_hidden()


def test_a_bar_shows_which_pixels_mattered_for_its_label(page):
    choose(page, "ankle-boot")
    article = page.get_by_role("article")
    expect(article.locator(".finding")).to_contain_text("Ankle boot")

    article.locator(".given button", has_text="Sneaker").click()

    expect(article.locator(".finding")).to_contain_text("Sneaker")


def test_a_picture_without_labels_is_said_to_have_none(page):
    choose(page, "bag")

    article = page.get_by_role("article")
    expect(article.locator("h2")).to_have_text("None of its labels")
    expect(article.locator(".given")).to_be_hidden()
    expect(article.locator(".others")).to_have_text("Could also be Bag.")


def test_the_table_and_its_file_have_all_labels(page):
    page.set_input_files("#files", [IMAGES / f"{name}.png" for name in ("ankle-boot", "bag", "trouser")])
    table = page.locator("#many")
    expect(table.locator(".is")).to_have_text(["Ankle boot, Sneaker", "None of its labels", "Trouser"])

    with page.expect_download() as download:
        table.get_by_role("button", name="Save CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert [row["labels"] for row in rows] == ["Ankle boot | Sneaker", "", "Trouser"]

    table.locator("select").select_option("label Sneaker")
    expect(table.locator("tbody .pick")).to_have_text(["ankle-boot.png"])


def test_the_card_says_what_the_model_does(page):
    page.get_by_role("button", name="About the models").click()

    card = page.locator("#card-dialog .card-body")
    expect(card).to_contain_text("All labels right")
    expect(card).to_contain_text("none or several of its labels")


@pytest.mark.skipif(not AXE.exists(), reason="axe is not installed: npm install")
def test_the_answer_is_accessible(page):
    choose(page, "ankle-boot")
    expect(page.get_by_role("article").locator(".given button")).to_have_count(2)

    assert axe(page) == []
