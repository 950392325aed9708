"""MB/s of `import_threads`, one process, on SQLite and PostgreSQL."""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests import services
from tests.bench.rows import row
from tests.installation import install

RUNS = 3


def measure() -> list[dict[str, Any]]:
    file = services.shared_data() / "swedracor.jsonl"
    with tempfile.TemporaryDirectory() as folder:
        if not file.is_file():
            file = _made(Path(folder))
        return [_on(kind, file, Path(folder) / kind) for kind in _kinds()]


def _kinds() -> list[str]:
    return ["laptop", "lab"] if services.postgres_url() and services.redis_url() else ["laptop"]


def _made(folder: Path) -> Path:
    """Threads of a size like real ones, where there are none."""
    path = folder / "made.jsonl"
    text = "Ett inlägg av vanlig längd, med åtskilliga ord om väder och vind. " * 3
    with path.open("w", encoding="utf-8") as lines:
        for n in range(800):
            posts = [
                {"username": f"u{k % 5}", "post": [{"type": "text", "text": f"{n}.{k} {text}"}]}
                for k in range(16)
            ]
            lines.write(
                json.dumps({"forumTitle": f"F {n % 8}", "threadTitle": f"T {n}", "posts": posts}) + "\n"
            )
    return path


def _on(kind: str, file: Path, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    installation = install(kind, folder)
    seconds, whole = [], []
    for n in range(RUNS):
        started = time.perf_counter()
        said = installation.manage("shell", "-v0", "-c", IMPORT.format(file=str(file), name=f"run {n}"))
        whole.append(time.perf_counter() - started)
        seconds.append(float(said.split()[-1]))
    megabytes = file.stat().st_size / 1e6
    engine = {"laptop": "SQLite", "lab": "PostgreSQL"}[kind]
    return row(
        f"import of {file.name} on {engine}",
        megabytes / statistics.median(seconds),
        "MB/s",
        3.0,
        f"median of {RUNS}; {megabytes:.1f} MB; {statistics.median(whole):.1f} s with the start of the process",
    )


IMPORT = """
import time
from pathlib import Path
from django.conf import settings
from generation.corpora import import_file
started = time.perf_counter()
import_file(Path({file!r}), {name!r}, language="sv", rejects_dir=settings.DATA_DIR / "rejects")
print(time.perf_counter() - started)
"""
