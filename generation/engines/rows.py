"""One reply while it is being written. Pure: knows tokens, not tensors."""

from collections.abc import Collection, Sequence

from generation.engines import FinishReason, Request
from generation.engines.fitting import Fitted
from generation.engines.stops import BREAK, BadWords, Repeats, TokenTable


class Row:
    """A request on its way to a reply: what was read, what was written, what may come next."""

    def __init__(
        self, place: int, request: Request, fitted: Fitted, room: int, table: TokenTable, bad_words: BadWords
    ) -> None:
        self._made_of = (place, request, fitted, room, table, bad_words)
        self.place = place
        self.seed = request.seed
        self.decoding = request.decoding
        self.read = fitted.ids
        self.prompt_read = fitted.cut
        self.written: list[int] = []
        self.limit = min(request.decoding.max_new_tokens, room)
        self.finish_reason: FinishReason | None = None
        self._table = table
        self._bad_words = bad_words
        self.after_newline = request.prompt.endswith("\n")
        self._after_newline = self.after_newline
        # After a blank line the model writes a user's name first, and the post itself begins with the next
        # line.
        self._names_user = request.prompt.endswith(BREAK)
        self._opening = self.decoding.min_new_tokens
        size = self.decoding.no_repeat_ngram_size
        self._repeats = Repeats(size, fitted.ids, table.may_repeat) if size else None

    @property
    def opening(self) -> bool:
        """Whether a line break or the end would make the reply empty here."""
        return self._opening > 0

    @property
    def ids(self) -> list[int]:
        return [*self.read, *self.written]

    def banned(self) -> Sequence[int]:
        """Tokens that may not come next, apart from those of an opening."""
        banned: Collection[int] = self._bad_words.banned(self.written)
        if self._repeats is not None:
            banned = {*banned, *self._repeats.banned()}
        return list(banned)

    def replayed(self, written: Sequence[int]) -> "Row":
        """This row had it gone on with these tokens; for beams, which try many."""
        row = Row(*self._made_of)
        for token in written:
            row.take(token)
        return row

    def take(self, token: int) -> bool:
        """Goes on with a token; True when the reply is finished with it."""
        self.written.append(token)
        if self._repeats is not None:
            self._repeats.append(token)
        if self._table.ends_post(token, self._after_newline):
            self.finish_reason = "stop"
        elif len(self.written) >= self.limit:
            self.finish_reason = "length"
        self._step_on(token)
        return self.finish_reason is not None

    def _step_on(self, token: int) -> None:
        self._opening -= 1
        self._after_newline = token in self._table.ends_line
        if self._names_user and self._after_newline:
            self._names_user = False
            self._opening = self.decoding.min_new_tokens
