"""Takes the pictures of the page, as make screenshots does: each state at three widths, light and dark.

The README's two go to docs/, the others to build/screenshots/. Also prints how long a dropped picture waits for its
answer.
"""

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "screenshots"
IMAGES = ROOT / "tests" / "images"
DRAWINGS = ROOT / "serving" / "static"
SIZES = {390: 844, 768: 1024, 1440: 900}
SCHEMES = {"light": "page.png", "dark": "page-dark.png"}  # the README's picture for each
README = (1440, "one")
DROPS = 9
LONG_MS = 1500  # after which everything has its answer


def empty(page: Page) -> None:
    """Show the page as it opens."""


def one(page: Page) -> None:
    """Show the answer to one picture."""
    page.set_input_files("#files", IMAGES / "ankle-boot.png")


def novel(page: Page) -> None:
    """Show a picture that the models do not know."""
    page.set_input_files("#files", DRAWINGS / "spiral.png")


def many(page: Page) -> None:
    """Show many pictures, one of them not a picture."""
    drawings = [DRAWINGS / "ship.png", DRAWINGS / "spiral.png"]
    page.set_input_files("#files", [*sorted(IMAGES.glob("*.png")), *drawings, ROOT / "LICENSE"])


def broken(page: Page) -> None:
    """Show a file that is not a picture."""
    page.set_input_files("#files", ROOT / "LICENSE")


def compared(page: Page) -> None:
    """Show two models side by side."""
    page.select_option("#compare", "fashion-mlp")
    page.set_input_files("#files", IMAGES / "pullover.png")


def details(page: Page) -> None:
    """Show an answer with all that is folded."""
    one(page)
    for summary in page.locator(".answer summary").all():
        summary.click()


def card(page: Page) -> None:
    """Show a model's card."""
    page.click("#about")


def drawing(page: Page) -> None:
    """Show the drawing board."""
    page.click("#draw")
    box = page.locator("#board").bounding_box() or {"x": 0, "y": 0, "width": 0}
    unit = box["width"] / 10
    page.check("#fills")
    page.mouse.move(box["x"] + 3 * unit, box["y"] + unit)
    page.mouse.down()
    for x, y in ((7, 1), (7.5, 9), (5.6, 9), (5, 4), (4.4, 9), (2.5, 9), (3, 1)):
        page.mouse.move(box["x"] + x * unit, box["y"] + y * unit, steps=4)
    page.mouse.up()


def docs(page: Page) -> None:
    """Show the API page."""
    page.goto("/docs")


STATES: dict[str, Callable[[Page], None]] = {
    state.__name__: state for state in (empty, one, novel, many, broken, compared, details, card, drawing, docs)
}


def take(browser: Browser, url: str, width: int, scheme: str) -> None:
    """Take the pictures of all states at this width in this colour scheme."""
    phone = width == min(SIZES)
    for name, state in STATES.items():
        page = browser.new_page(
            base_url=url,
            viewport={"width": width, "height": SIZES[width]},
            color_scheme="dark" if scheme == "dark" else "light",
            is_mobile=phone,
            has_touch=phone,
        )
        page.goto("/")
        state(page)
        page.wait_for_timeout(LONG_MS)
        page.screenshot(path=BUILD / f"{name}-{width}-{scheme}.png", full_page=name == "details")
        if (width, name) == README:
            page.locator("#answers").screenshot(path=ROOT / "docs" / SCHEMES[scheme])
        page.close()


DROP = """async () => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([await (await fetch("/static/ship.png")).blob()], "ship.png", { type: "image/png" }));
    const label = document.querySelector("#answers .label");
    const start = performance.now();
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer }));
    while (label.textContent !== "ship") await new Promise(requestAnimationFrame);
    return performance.now() - start;
}"""


def time_drops(page: Page) -> list[float]:
    """Return the milliseconds from a drop on the open page to the label on the screen, the shortest first."""
    waits = []
    for _ in range(DROPS):
        page.goto("/")
        page.evaluate("() => sessionStorage.clear()")
        page.reload(wait_until="networkidle")
        waits.append(page.evaluate(DROP))
    return sorted(waits)


def main() -> None:
    """Take all pictures of a running service."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000")
    url = parser.parse_args().url
    BUILD.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for width in SIZES:
            for scheme in SCHEMES:
                take(browser, url, width, scheme)
        waits = time_drops(browser.new_page(base_url=url))
        print(
            f"From drop to label: {waits[len(waits) // 2]:.0f} ms, the median of {DROPS} (the longest {waits[-1]:.0f})"
        )
        browser.close()


if __name__ == "__main__":
    main()
