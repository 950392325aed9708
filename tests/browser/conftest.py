"""A browser, and a server that it can talk to.

`browser_page` gives a fresh page (its console must stay empty), `new_page(**context)` more of them, and `site` the
address of a live server. Tests that use them need `@pytest.mark.django_db(transaction=True)`.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import ThreadedWSGIServer
from django.db import connections
from django.test.testcases import LiveServerThread
from django.utils import translation

from tests import services

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in str(item.path):
            item.add_marker(pytest.mark.needs_service("chromium"))


@pytest.fixture(scope="session")
def chromium_browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=services.chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


class OneAtATime(ThreadedWSGIServer):
    """Answers one request at a time: SQLite in memory is one connection, which threads share."""

    def set_app(self, application: Any) -> None:
        turn = threading.Lock()

        def in_turn(environ: Any, start_response: Any) -> Any:
            with turn:
                return application(environ, start_response)

        super().set_app(in_turn)

    def _close_connections(self) -> None:
        # A thread whose browser has gone must not touch the connection that it was lent.
        if not self.connections_override:
            super()._close_connections()


class ServerThread(LiveServerThread):
    server_class = OneAtATime


@pytest.fixture
def site(transactional_db: None) -> Iterator[str]:
    """The address of a running site, on this test's database."""
    shared = {}
    connection = connections["default"]  # itself, not the proxy: other threads shall have this one
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        shared = {connection.alias: connection}
        connection.inc_thread_sharing()
    thread = ServerThread("127.0.0.1", StaticFilesHandler, connections_override=shared)
    thread.daemon = True
    thread.start()
    thread.is_ready.wait()
    if thread.error:
        raise thread.error
    yield f"http://127.0.0.1:{thread.port}"
    thread.terminate()
    if shared:
        connection.dec_thread_sharing()
    translation.activate("en")


@pytest.fixture
def new_page(chromium_browser: Any, site: str) -> Iterator[Callable[..., Any]]:
    """`new_page(width=1280, **context)`: a page of a browser of its own. At the end no console may have spoken."""
    contexts: list[Any] = []
    said: list[str] = []

    def listen(message: Any) -> None:
        # Chromium and htmx note every 4xx and every lost connection; those are wanted here.
        if message.type not in ("error", "warning"):
            return
        if not message.text.startswith(("Failed to load resource", "htmx:", "Response Status Error")):
            said.append(f"{message.type}: {message.text}")

    def make(width: int = 1280, height: int = 900, **context: Any) -> Any:
        made = chromium_browser.new_context(
            base_url=site, viewport={"width": width, "height": height}, locale="en-GB", **context
        )
        contexts.append(made)
        page = made.new_page()
        page.set_default_timeout(8_000)
        page.on("console", listen)
        page.on("pageerror", lambda fault: said.append(f"script: {fault}"))
        return page

    yield make
    for context in contexts:
        context.close()
    assert not said, "the browser's console spoke (a content security policy, a fault of a script)"


@pytest.fixture
def browser_page(new_page: Callable[..., Any]) -> Any:
    return new_page()
