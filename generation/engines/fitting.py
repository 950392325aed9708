"""Making a prompt fit a model's context. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from generation.engines.stops import BREAK


@dataclass(frozen=True)
class Fitted:
    """A prompt as the model reads it; `cut` is its text where that is not the whole prompt."""

    ids: tuple[int, ...]
    cut: str | None = None


@dataclass(frozen=True)
class Fitter:
    """Drops the oldest posts of a prompt until it fits."""

    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]

    def fit(self, prompt: str, room: int) -> Fitted:
        """The titles stay and the oldest posts go; where not even one post fits, the text loses its
        beginning.
        """
        ids = self.encode(prompt)
        if len(ids) <= room:
            return Fitted(tuple(ids))
        return self._fit_posts(prompt, room) or self._fit_tail(ids, room)

    def _fit_posts(self, prompt: str, room: int) -> Fitted | None:
        head, *posts = prompt.split(BREAK)
        # What follows the last break is the beginning of the reply (a name, or nothing) and no post of its
        # own.
        for first in range(1, len(posts) - 1):
            text = BREAK.join([head, *posts[first:]])
            ids = self.encode(text)
            if len(ids) <= room:
                return Fitted(tuple(ids), text)
        return None

    def _fit_tail(self, ids: list[int], room: int) -> Fitted:
        size = room
        while True:
            # Read back from text, so that the stored prompt gives exactly these tokens when it is read again.
            text = self.decode(ids[-size:]).lstrip("\ufffd")
            read = self.encode(text)
            if len(read) <= room or size == 1:
                return Fitted(tuple(read[-room:]), text)
            size -= max(1, min(len(read) - room, size - 1))
