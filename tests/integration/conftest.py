"""A browser, and the page in it."""

from collections.abc import Iterator

import pytest
from browsing import BROWSER, TIMEOUT, VIEWPORT
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

expect.set_options(timeout=TIMEOUT)
# Tests run as root in containers, where Chromium's sandbox does not work. Its camera shows a clock.
FLAGS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS, timeout=3 * TIMEOUT)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page_server(start):
    """Return the service whose page is looked at; the other tests measure what it does."""
    return start(measured=False)


@pytest.fixture(scope="module")
def context(browser, page_server) -> Iterator[BrowserContext]:
    """Yield what the pages of a module's tests share: a new one for each would take as long as the page itself."""
    clipboard = ["clipboard-read", "clipboard-write"]
    context = browser.new_context(base_url=page_server.url, permissions=clipboard, viewport=VIEWPORT)
    context.set_default_timeout(TIMEOUT)
    yield context
    context.close()


@pytest.fixture(scope="module")
def tab(context) -> Page:
    """Return the tab of a module's tests: a new one for each would cost as much again as the page itself."""
    return context.new_page()


@pytest.fixture
def page(tab) -> Iterator[Page]:
    """Yield the page in a tab that is as a new one; errors in it and requests to other hosts fail the test."""
    faults: list[str] = []
    watched = {
        "pageerror": lambda error: faults.append(str(error)),
        "console": lambda message: faults.append(message.text) if "Policy" in message.text else None,
        "request": lambda asked: (
            None if asked.url.startswith(("http://127.0.0.1:", "blob:", "data:")) else faults.append(asked.url)
        ),
    }
    for event, watch in watched.items():
        tab.on(event, watch)
    tab.goto("/")
    yield tab
    for event, watch in watched.items():
        tab.remove_listener(event, watch)
    renew(tab)
    assert faults == []


def renew(tab: Page) -> None:
    """Undo what a test may have changed in a tab; the storage is emptied last, as the page writes to it as it goes."""
    tab.unroute_all(behavior="ignoreErrors")
    tab.context.set_offline(False)
    tab.mouse.move(0, 0)
    if tab.viewport_size != VIEWPORT:
        tab.set_viewport_size(VIEWPORT)
    tab.emulate_media(media="screen", color_scheme="light", forced_colors="none")
    tab.evaluate("() => addEventListener('pagehide', () => sessionStorage.clear())")
    tab.goto("/livez")  # of the same site: for another, Chromium would start another process
