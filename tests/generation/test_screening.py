"""Screening: what is noticed about a reply before anyone sees it."""

from typing import Any

import pytest

from generation.screening import Thresholds, screen
from generation.threads import Item, Quote, Text


def codes(*items: Item, finish_reason: str | None = "stop", **more: Any) -> list[str]:
    return [reason.code for reason in screen(items, finish_reason=finish_reason, **more)]


def test_an_ordinary_reply_has_nothing_to_say_about() -> None:
    assert codes(Text("Det vet jag inte.")) == []


@pytest.mark.parametrize(
    "text", ["", " \n\t", "\u2060\u200b\ufeff", "\u00a0\u3000", "\u3164\u2800", "\u0301\ufe0f"]
)
def test_a_reply_that_no_eye_can_see_is_empty(text: str) -> None:
    reasons = screen([Text(text)], finish_reason="stop")

    assert [(reason.code, reason.kind) for reason in reasons] == [("empty", "quality")]
    assert reasons[0].detail == "The reply has no visible text."


def test_a_reply_without_items_is_empty() -> None:
    assert codes() == ["empty"]
    assert codes(Quote("anna", (Text(" "),))) == ["empty"]


@pytest.mark.parametrize("text", ["?", "😀", ":)", "ن", "猫", "\ufffd"])
def test_a_single_sign_is_not_empty(text: str) -> None:
    assert codes(Text(text)) == []


def test_a_reply_that_only_quotes_is_not_empty() -> None:
    assert codes(Quote("anna", (Text("hej"),))) == []


@pytest.mark.parametrize("finish_reason", ["length", "max_tokens"])
def test_a_reply_stopped_at_the_token_limit_is_cut_off(finish_reason: str) -> None:
    assert codes(Text("Det vet jag"), finish_reason=finish_reason) == ["cut_off"]
    assert codes(Text(""), finish_reason=finish_reason) == ["empty", "cut_off"]


def test_without_a_finish_reason_a_sentence_broken_at_the_limit_is_cut_off() -> None:
    assert codes(Text("Det vet"), finish_reason=None, tokens=200, max_new_tokens=200) == ["cut_off"]
    assert codes(Text("Det vet"), finish_reason=None, tokens=199, max_new_tokens=200) == []
    assert codes(Text("Det vet jag."), finish_reason=None, tokens=200, max_new_tokens=200) == []
    assert codes(Text("Det vet"), finish_reason="stop", tokens=200, max_new_tokens=200) == []


def test_the_thresholds_can_be_changed_and_stored() -> None:
    thresholds = Thresholds(min_visible_characters=5)

    reasons = screen([Text("ja")], finish_reason="stop", thresholds=thresholds)

    assert [reason.detail for reason in reasons] == ["The reply has only 2 visible characters."]
    assert thresholds.as_json() == {
        "min_visible_characters": 5,
        "cut_off_reasons": ["length", "max_tokens"],
    }
