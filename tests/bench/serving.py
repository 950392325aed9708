"""Cycles (open the next item, hand it in) per second: 8 clients without pauses, gunicorn with two workers."""

import http.client
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests import services
from tests.bench.rows import row
from tests.installation import ROOT, Installation, install, listens, until

CLIENTS = 8
SECONDS = 12.0

MAKE = f"""
from tests import making
making.campaign(threads=400, posts=6, slug="load", name="Load", annotators_per_item=3, items_per_annotator=1200,
                expected_annotators={CLIENTS}, languages=["en"])
"""


def measure() -> list[dict[str, Any]]:
    kinds = ["laptop", "lab"] if services.postgres_url() and services.redis_url() else ["laptop"]
    with tempfile.TemporaryDirectory() as folder:
        return [row_ for kind in kinds for row_ in _on(kind, Path(folder) / kind)]


def _on(kind: str, folder: Path) -> list[dict[str, Any]]:
    folder.mkdir()
    installation = install(kind, folder)
    installation.manage("shell", "-v0", "-c", MAKE)
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "evalsite.wsgi:application", "--bind", f"127.0.0.1:{installation.port}",
         "--workers", "2", "--threads", "4", "--no-control-socket", "--log-level", "error"],
        cwd=ROOT, env=installation.env,
    )  # fmt: skip
    try:
        until(lambda: listens(installation.port), 30)
        clients = [Client(installation) for _ in range(CLIENTS)]
        for client in clients:
            client.join()
        started = time.perf_counter()
        threads = [threading.Thread(target=client.work, args=(started + SECONDS,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.perf_counter() - started
    finally:
        server.terminate()
        server.wait(20)
    took = sorted(second for client in clients for second in client.took)
    engine = {"laptop": "SQLite", "lab": "PostgreSQL"}[kind]
    detail = f"{CLIENTS} clients, {elapsed:.0f} s, {len(took)} cycles, client on the same two cores"
    return [
        row(f"open next and submit on {engine}", len(took) / elapsed, "cycles/s", None, detail),
        row(f"one cycle on {engine}, median", 1000 * statistics.median(took), "ms", None, detail),
        row(
            f"one cycle on {engine}, 95th percentile", 1000 * took[int(0.95 * len(took))], "ms", None, detail
        ),
    ]


class Client:
    """One annotator with cookies, who reads nothing and answers at once."""

    def __init__(self, installation: Installation) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", installation.port, timeout=30)
        self.cookies: dict[str, str] = {}
        self.took: list[float] = []

    def ask(
        self, method: str, path: str, fields: dict[str, str] | None = None, **headers: str
    ) -> tuple[int, str]:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        body = urlencode(fields) if fields else None
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        text = response.read().decode()
        for name, value in response.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.split(";")[0]
        return response.status, text

    @staticmethod
    def hidden(page: str, name: str) -> str:
        return re.search(rf'name="{name}" value="([^"]*)"', page)[1]  # type: ignore[index]

    def join(self) -> None:
        _, page = self.ask("GET", "/join/load/")
        fields = {
            "csrfmiddlewaretoken": self.hidden(page, "csrfmiddlewaretoken"),
            "answer": "yes",
            "language": "en",
        }
        status, _ = self.ask("POST", "/join/load/", fields)
        assert status in (302, 303), status

    def work(self, end: float) -> None:
        while time.perf_counter() < end:
            started = time.perf_counter()
            _, page = self.ask("GET", "/rate/load/")
            if 'name="token"' not in page:
                raise RuntimeError(f"no item left after {len(self.took)} cycles")
            names = re.findall(r'type="radio" name="([^"]+)" id="q\d', page)
            fields = dict.fromkeys(names, "left") | {
                name: self.hidden(page, name) for name in ("csrfmiddlewaretoken", "token", "submit_id")
            }
            status, told = self.ask("POST", "/rate/load/", fields, Accept="application/json")
            if status != 200 or "counted" not in told:
                raise RuntimeError(f"{status}: {told[:300]}")
            self.took.append(time.perf_counter() - started)
