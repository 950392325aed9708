"""A progress bar for the terminal: one line that is drawn over on a terminal, a line now and then elsewhere."""

import time
from datetime import timedelta
from typing import Protocol


class Stream(Protocol):
    def write(self, text: str, /) -> object: ...
    def flush(self) -> None: ...
    def isatty(self) -> bool: ...


def time_left(left: timedelta | None) -> str:
    """How long it takes yet, in words one can plan by; empty where it is not known."""
    if left is None:
        return ""
    seconds = left.total_seconds()
    if seconds < 55:
        return f"about {max(5, round(seconds / 5) * 5)} s left"
    if seconds < 3600:
        return f"about {max(1, round(seconds / 60))} min left"
    return f"about {seconds / 3600:.1f} h left"


class Bar:
    """`[########--------] 84 of 120 replies, about 6 min left`."""

    WIDTH = 28
    EVERY = 5.0  # seconds between lines where nothing can be drawn over

    def __init__(self, stream: Stream, what: str) -> None:
        self._stream, self._what = stream, what
        self._drawn = ""
        self._told_at = 0.0

    def show(self, done: int, total: int, left: timedelta | None = None, note: str = "") -> None:
        full = self.WIDTH * done // max(total, 1)
        words = [f"{done} of {total} {self._what}", time_left(left) if done < total else "", note]
        line = f"[{'#' * full}{'-' * (self.WIDTH - full)}] {', '.join(word for word in words if word)}"
        if self._stream.isatty():
            self._stream.write("\r" + line.ljust(len(self._drawn)))
            self._drawn = line
        elif line != self._drawn and (time.monotonic() - self._told_at >= self.EVERY or done == total):
            self._stream.write(line + "\n")
            self._drawn, self._told_at = line, time.monotonic()
        self._stream.flush()

    def end(self) -> None:
        if self._drawn and self._stream.isatty():
            self._stream.write("\n")
            self._stream.flush()
