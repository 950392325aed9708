"""Engines write replies: prompts in, raw continuations out. Nothing here imports torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from generation.engines.decoding import Decoding, DecodingFault

__all__ = [
    "Decoding",
    "DecodingFault",
    "Engine",
    "EngineFault",
    "FinishReason",
    "OnBatch",
    "Request",
    "Written",
]

FinishReason = Literal["stop", "length"]


class EngineFault(Exception):
    """An engine cannot be had or cannot write; `reason` is a sentence for the researcher: what, where, what
    to do.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Request:
    """One reply to be written. The seed is the reply's own, of any size; it never depends on the batch."""

    prompt: str
    seed: int
    decoding: Decoding


@dataclass(frozen=True)
class Written:
    """What an engine wrote after a prompt.

    `text` is the raw continuation, cut just before the blank line that ends a post. `finish_reason` is "stop"
    when the model ended the post itself and "length" when it ran into the token limit. Tokens are the
    model's; `prompt_tokens` counts what was read. `seconds` is wall time from the start of its batch to its
    last token. `prompt_read` is the prompt as read where it was too long for the model and lost its oldest
    posts, else None.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    new_tokens: int
    seconds: float
    prompt_read: str | None = None
    batch_rows: int = 1

    @property
    def prompt_truncated(self) -> bool:
        return self.prompt_read is not None


# Called after each batch, so that it can be committed: the places in `requests`, and what was written for
# each.
OnBatch = Callable[[Sequence[int], Sequence[Written]], None]


class Engine(Protocol):
    """A loaded model."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over weights and tokenizer, the same wherever they lie."""

    @property
    def provenance(self) -> dict[str, Any]:
        """How replies are made here, as JSON: versions, device, dtype, model, batch size."""

    def write(self, requests: Sequence[Request], on_batch: OnBatch | None = None) -> list[Written]:
        """One reply per request, in the order of the requests."""

    def chat_prompt(self, messages: Sequence[dict[str, str]]) -> str:
        """The messages ({role, content}) in the model's own chat form. EngineFault where it has none."""
