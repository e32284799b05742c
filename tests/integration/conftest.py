"""A browser, and the page in it."""

from collections.abc import Iterator

import pytest
from browsing import BROWSER, TIMEOUT
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
    context = browser.new_context(base_url=page_server.url, permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(TIMEOUT)
    yield context
    context.close()


@pytest.fixture
def page(context) -> Iterator[Page]:
    """Yield the page in a tab of its own; errors in it and requests to other hosts fail the test."""
    page = context.new_page()
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
    page.close()
    context.set_offline(False)
    assert faults == []
