"""What the tests of the pages do in a browser: choose, drop and paste files, and look at the whole."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

ROOT = Path(__file__).parent.parent.parent
IMAGES = ROOT / "tests" / "images"
DRAWINGS = ROOT / "serving" / "static"
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TIMEOUT = 60_000  # milliseconds: a busy machine is slow
VIEWPORT = {"width": 1280, "height": 720}
NEEDS_BROWSER = [pytest.mark.trains, pytest.mark.skipif(not BROWSER, reason="Chromium is not installed")]
NOTES = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"}

NO_STORAGE = (
    "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('', 'SecurityError'); } })"
)


def choose(page: Page, *names: str) -> None:
    page.set_input_files("#files", [IMAGES / f"{name}.png" for name in names])


def hold_answers(page: Page) -> Callable[[], None]:
    """Leave classifications without an answer; the function that is returned has later ones answered."""
    held = True

    def hold(route: Route) -> None:
        if not held:
            route.continue_()

    def release() -> None:
        nonlocal held
        held = False

    page.route("**/classify?*", hold)
    return release


def change_answers(page: Page, **fields: object) -> None:
    """Put fields into each prediction on its way to the page."""

    def change(route: Route) -> None:
        response = route.fetch()
        (prediction,) = response.json()["predictions"]
        route.fulfill(response=response, json={"predictions": [prediction | fields]})

    page.route("**/classify?*", change)


TRANSFER = """([kind, files, texts]) => {
    const transfer = new DataTransfer();
    for (const [name, content] of files) {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type: "image/png" }));
    }
    for (const [type, text] of texts) transfer.setData(type, text);
    const event = kind === "paste"
        ? new ClipboardEvent(kind, { clipboardData: transfer })
        : new DragEvent(kind, { dataTransfer: transfer, cancelable: true });
    document.dispatchEvent(event);
    return event.defaultPrevented;
}"""


def transfer(page: Page, way: str, *files: Path, texts: tuple[tuple[str, str], ...] = ()) -> bool:
    """Drop or paste files and texts; returns whether the browser is kept from leaving the page for them."""
    contents = [(file.name, base64.b64encode(file.read_bytes()).decode()) for file in files]
    return page.evaluate(TRANSFER, [way, contents, texts])


def drop_from_the_desktop(page: Page, path: Path) -> None:
    """Drop a file or a folder on the page as a desktop does: Chromium itself opens the path."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}  # to copy
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 100, "y": 100, "data": data})
    session.detach()


def axe(page: Page) -> list[str]:
    """Return what axe finds wrong, each with the elements."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run()")
    return [
        f"{rule['id']}: {json.dumps([node['html'][:200] for node in rule['nodes']])}" for rule in found["violations"]
    ]


def faint_texts(page: Page) -> list[str]:
    """Return the texts whose contrast, by the Web Content Accessibility Guidelines 2.2, is less than 4.5."""
    return page.evaluate(FAINT)


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
