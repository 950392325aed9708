"""The batched loop: every row of a batch one token further per step, with keys and values kept in place.

What was measured to matter on two cores (16 threads, SmolLM2-135M): prompts are read one at a time, so that
no padding is computed (it cost 1.8x) and equal prompts are read once; keys and values are written in place
(`torch.cat` was 40% of a step); finished rows leave at once. Works on torch's tensors by their methods alone;
torch is imported in `local` only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from generation.engines.choosing import Chooser, Tensor
from generation.engines.rows import Row
from generation.engines.stops import TokenTable

_FAR = float("-inf")


@dataclass
class Window:
    """Which part of the room for keys and values is in use: rows 0..rows, columns first..used. Padding lies
    left.
    """

    rows: int
    first: int
    used: int


class Layer:
    """Keys and values of one layer in room made beforehand, in the form of transformers' cache layers."""

    is_sliding = False
    is_compileable = False
    is_initialized = True

    def __init__(self, keys: Tensor, values: Tensor, window: Window) -> None:
        self.keys = keys
        self.values = values
        self._window = window

    def lazy_initialization(self, *_: object) -> None:
        """The room is there from the start."""

    def update(self, keys: Tensor, values: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        window = self._window
        self.keys[: window.rows, :, window.used] = keys[:, :, 0]
        self.values[: window.rows, :, window.used] = values[:, :, 0]
        return self._seen(self.keys), self._seen(self.values)

    def _seen(self, room: Tensor) -> Tensor:
        window = self._window
        return room[: window.rows, :, window.first : window.used + 1]

    def get_seq_length(self) -> int:
        return self._window.used - self._window.first

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        return -1


@dataclass(frozen=True)
class Model:
    """A loaded model as the loop needs it: `forward`, and transformers' caches, empty or made of our layers."""

    forward: Callable[..., Any]
    empty_cache: Callable[[], Any]
    cache_of: Callable[[list[Layer]], Any]
    layer: Callable[[Tensor, Tensor, Window], Layer]
    last_only: dict[str, int]  # asks for the last position's logits, where the model can
    table: TokenTable


class Batch:
    """Rows that are written together."""

    def __init__(self, model: Model, rows: Sequence[Row], tensor: Callable[[Any], Tensor]) -> None:
        self._model = model
        self._rows = list(rows)
        self._tensor = tensor
        self._pads: list[int] = []
        self._layers: list[Layer] = []
        self._window = Window(len(rows), 0, max(len(row.read) for row in rows))

    def run(self, on_finished: Callable[[Row], None]) -> None:
        """Writes every row to its end; tells of each as it finishes."""
        logits = self._read_prompts()
        self._arrange(logits)
        step = 0
        while True:
            tokens = self._chooser.choose(self._forbid(logits), step)
            finished = [n for n, row in enumerate(self._rows) if row.take(tokens[n])]
            for n in finished:
                on_finished(self._rows[n])
            if len(finished) == len(self._rows):
                return
            if finished:
                self._remove(finished)
                self._arrange(logits)
            logits = self._forward()
            step += 1

    # ---------------------------------------------------------------------------------------- reading

    def _read_prompts(self) -> Tensor:
        """Reads each prompt once, fills the room, and gives the logits after each row's prompt."""
        rows_of: dict[tuple[int, ...], list[int]] = {}
        for n, row in enumerate(self._rows):
            rows_of.setdefault(row.read, []).append(n)
        longest = self._window.used
        self._pads = [longest - len(row.read) for row in self._rows]
        last: list[Tensor] = [None] * len(self._rows)
        for ids, places in rows_of.items():
            cache = self._model.empty_cache()
            given = self._tensor([ids])
            output = self._model.forward(
                input_ids=given, past_key_values=cache, use_cache=True, **self._model.last_only
            )
            self._layers = self._layers or self._make_room(cache.layers)
            for layer, read in zip(self._layers, cache.layers, strict=True):
                layer.keys[places, :, longest - len(ids) : longest] = read.keys
                layer.values[places, :, longest - len(ids) : longest] = read.values
            for place in places:
                last[place] = output.logits[0, -1]
        logits = last[0].new_zeros(len(last), last[0].shape[-1]).float()
        for n, row_logits in enumerate(last):
            logits[n] = row_logits
        return logits

    def _make_room(self, layers: Sequence[Any]) -> list[Layer]:
        columns = self._window.used + max(row.limit for row in self._rows)

        def room(like: Tensor) -> Tensor:
            # Zeros and not just anything: attention weighs padding with 0, and 0 times NaN is NaN.
            return like.new_zeros(len(self._rows), like.shape[1], columns, like.shape[-1])

        return [self._model.layer(room(layer.keys), room(layer.values), self._window) for layer in layers]

    # ---------------------------------------------------------------------------------------- writing

    def _arrange(self, like: Tensor) -> None:
        """Columns for the rows that are left."""
        self._chooser = Chooser.of(
            like, [row.decoding for row in self._rows], [row.seed for row in self._rows]
        )
        self._window.rows = len(self._rows)
        self._window.first = min(self._pads)
        self._pad_column = self._tensor([[pad] for pad in self._pads])

    def _remove(self, finished: list[int]) -> None:
        """The last row moves to the place of each that leaves: one copy instead of a copy of all."""
        window = self._window
        for n in reversed(finished):
            row, pad = self._rows.pop(), self._pads.pop()
            if n == len(self._rows):
                continue
            self._rows[n], self._pads[n] = row, pad
            for layer in self._layers:
                for room in (layer.keys, layer.values):
                    room[n, :, : window.used] = room[len(self._rows), :, : window.used]

    def _forward(self) -> Tensor:
        window = self._window
        columns = self._pad_column.new_ones(1, window.used + 1).cumsum(-1)[:, window.first :] - 1
        output = self._model.forward(
            input_ids=self._tensor([[row.written[-1]] for row in self._rows]),
            attention_mask=(columns >= self._pad_column).long(),
            position_ids=window.used - self._pad_column,
            past_key_values=self._model.cache_of(self._layers),
            use_cache=True,
        )
        window.used += 1
        return output.logits[:, -1].float()

    def _forbid(self, logits: Tensor) -> Tensor:
        table = self._model.table
        logits[:, len(table.texts) :] = _FAR  # some vocabularies are padded with tokens that mean nothing
        self._penalise(logits)
        for n, row in enumerate(self._rows):
            if row.opening:
                logits[n, list(table.not_first)] = _FAR
            if banned := row.banned():
                logits[n, banned] = _FAR
        return logits

    def _penalise(self, logits: Tensor) -> None:
        """Divides or multiplies, by sign, what was read or written before (Keskar et al. 2019)."""
        for n, row in enumerate(self._rows):
            if row.decoding.repetition_penalty != 1:
                seen = self._tensor(sorted(set(row.ids)))
                known = logits[n, seen]
                penalty = row.decoding.repetition_penalty
                logits[n, seen] = (known * penalty).where(known < 0, known / penalty)


def plan(sizes: Sequence[int], at_most: int, budget: int) -> list[list[int]]:
    """Batches of places, alike in size so that little is padded; `sizes` and `budget` in the same unit of
    memory.

    A batch takes at most so many rows, and no more than fit when each needs as much as the largest. One row
    always fits.
    """
    batches: list[list[int]] = []
    for place in sorted(range(len(sizes)), key=lambda n: -sizes[n]):
        current = batches[-1] if batches else None
        if current and len(current) < at_most and sizes[current[0]] * (len(current) + 1) <= budget:
            current.append(place)
        else:
            batches.append([place])
    return batches
