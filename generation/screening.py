"""What is noticed about a reply before anyone sees it. Pure: each rule is a function, RULES lists them.

A quality reason is something that annotators may well see and judge; a safety reason holds the reply back.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from generation.threads import Item, Text

Kind = Literal["quality", "safety"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a reply was flagged: a code for the machine, a sentence for the researcher."""

    code: str
    kind: Kind
    detail: str


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where the rules draw their lines; stored with the result, so that it can be understood later."""

    min_visible_characters: int = 1
    cut_off_reasons: tuple[str, ...] = ("length", "max_tokens")

    def as_json(self) -> dict[str, object]:
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True)
class Written:
    """A reply with all that the rules may ask about it."""

    items: tuple[Item, ...]
    finish_reason: str | None = None
    tokens: int | None = None
    max_new_tokens: int | None = None


Rule = Callable[[Written, Thresholds], Reason | None]


def screen(
    items: Sequence[Item],
    *,
    finish_reason: str | None,
    tokens: int | None = None,
    max_new_tokens: int | None = None,
    thresholds: Thresholds = Thresholds(),
) -> list[Reason]:
    """Everything that there is to say about the reply, in the order of the rules."""
    reply = Written(tuple(items), finish_reason, tokens, max_new_tokens)
    return [reason for rule in RULES if (reason := rule(reply, thresholds)) is not None]


def empty(reply: Written, thresholds: Thresholds) -> Reason | None:
    """Nothing that an eye could read, in quotes either."""
    visible = sum(is_visible(character) for text in _texts(reply.items) for character in text)
    if visible >= thresholds.min_visible_characters:
        return None
    return Reason("empty", "quality", "The reply has no visible text." if not visible else
                  f"The reply has only {visible} visible characters.")  # fmt: skip


def cut_off(reply: Written, thresholds: Thresholds) -> Reason | None:
    """The writer was stopped by its limit, not by its end."""
    if reply.finish_reason in thresholds.cut_off_reasons:
        return Reason("cut_off", "quality", "The system stopped at its token limit.")
    # Some servers do not say why they stopped; then all tokens used and no end of a sentence have to do.
    used_up = (
        reply.tokens is not None and reply.max_new_tokens is not None and reply.tokens >= reply.max_new_tokens
    )
    if not reply.finish_reason and used_up and not _ends_well(reply.items):
        return Reason(
            "cut_off", "quality", "The reply used all its tokens and ends in the middle of a sentence."
        )
    return None


RULES: tuple[Rule, ...] = (empty, cut_off)

# Letters to Unicode, yet drawn as nothing.
_BLANK_LETTERS = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Mn", "Me"})


def is_visible(character: str) -> bool:
    """False for spaces, control and format characters, blank letters, and marks without their letter."""
    return unicodedata.category(character) not in _UNSEEN and character not in _BLANK_LETTERS


def _texts(items: Sequence[Item]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Text):
            yield item.text
        else:
            yield from _texts(item.items)


def _ends_well(items: Sequence[Item]) -> bool:
    last = items[-1] if items else None
    if not isinstance(last, Text):
        return False
    # A smiley or a closing bracket ends a post as well as a full stop does.
    visible = [character for character in last.text if is_visible(character)]
    return bool(visible) and not visible[-1].isalnum() and visible[-1] not in ",;-\u2013("
