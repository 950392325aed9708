"""Where a post ends, and what may not be written."""

import pytest

from generation.engines import Request
from generation.engines.decoding import Decoding
from generation.engines.fitting import Fitted, Fitter
from generation.engines.rows import Row
from generation.engines.stops import BadWords, Repeats, TokenTable, cut_at_break

TEXTS = ["<end>", "a", "b", "\n", "\n\n", ".\n", "\nc", ".\n\n", " ", ""]
TABLE = TokenTable(TEXTS, ends={0})


def _row(prompt: str = "T\n\nbo:\n", **decoding: object) -> Row:
    request = Request(prompt, 1, Decoding.from_table(decoding))
    return Row(0, request, Fitted((1, 2)), 1000, TABLE, BadWords())


def _finish(row: Row, *tokens: str) -> str | None:
    for text in tokens:
        row.take(TEXTS.index(text))
    return row.finish_reason


@pytest.mark.parametrize(
    "tokens", [["\n\n"], ["\n", "\n"], [".\n", "\n"], [".\n", "\nc"], [".\n\n"], ["<end>"]]
)
def test_a_post_ends_at_every_spelling_of_the_blank_line(tokens):
    assert _finish(_row(), "a", "b", *tokens) == "stop"


@pytest.mark.parametrize("tokens", [["\n"], ["\n", "a", "\n"], [".\n", "a"], ["\nc", "\nc"]])
def test_a_post_goes_on_over_a_single_line_break(tokens):
    assert _finish(_row(), "a", "b", *tokens) is None


def test_a_post_that_reaches_the_limit_says_so():
    assert _finish(_row(max_new_tokens=3), "a", "b", "a") == "length"


def test_a_post_that_ends_at_its_last_token_has_ended_itself():
    assert _finish(_row(max_new_tokens=3), "a", "b", "\n\n") == "stop"


def test_nothing_blank_may_open_a_post():
    forbidden = {TEXTS[token] for token in TABLE.not_first}

    assert forbidden == {"<end>", "\n", "\n\n", ".\n", "\nc", ".\n\n", " "}
    assert [_row().opening, _row(min_new_tokens=0).opening] == [True, False]


def test_the_opening_begins_anew_after_the_name_that_the_model_wrote():
    row = _row(prompt="T\n\n")
    seen = []
    for text in ("a", "b", "\n", "a", "b", "\n"):
        row.take(TEXTS.index(text))
        seen.append(row.opening)

    assert seen == [True, False, True, True, False, False]


@pytest.mark.parametrize(
    ("text", "after_newline", "cut"),
    [
        ("one\n\ntwo\n\nthree", False, "one"),
        ("one\ntwo", False, "one\ntwo"),
        ("one\n", False, "one\n"),
        ("\none", True, ""),
        ("\none", False, "\none"),
    ],
)
def test_the_text_is_cut_exactly_at_the_break(text, after_newline, cut):
    assert cut_at_break(text, after_newline) == cut


def test_a_repeated_trigram_is_forbidden_and_the_prompt_counts():
    repeats = Repeats(3, [1, 2, 5, 1, 2], may_repeat=())

    assert set(repeats.banned()) == {5}
    repeats.append(6)
    assert set(repeats.banned()) == set()


def test_a_repeated_word_is_forbidden_with_a_size_of_one():
    repeats = Repeats(1, [1, 2], may_repeat=())

    assert set(repeats.banned()) == {1, 2}


def test_the_end_of_a_post_may_always_repeat():
    repeats = Repeats(2, [1, 3, 1, 4, 1, 0, 1, 7, 1], TABLE.may_repeat)

    assert {TEXTS[token] for token in repeats.banned()} == {".\n\n"}


def test_a_bad_word_is_forbidden_as_one_token_and_as_many():
    bad = BadWords.of(["b", "aX"], TABLE, lambda text: {"aX": [1, 3], " aX": [8, 1, 3]}.get(text, [2]))

    assert bad.banned([2]) == {2}
    assert bad.banned([9, 1]) == {2, 3}


def test_a_prompt_that_is_too_long_loses_its_oldest_posts_and_keeps_its_titles():
    fitter = Fitter(lambda text: list(text.encode()), lambda ids: bytes(ids).decode(errors="replace"))
    prompt = "F\nT\n\na:\none\n\nb:\ntwo\n\nc:\n"

    fitted = fitter.fit(prompt, room=len("F\nT\n\nb:\ntwo\n\nc:\n"))

    assert fitted.cut == "F\nT\n\nb:\ntwo\n\nc:\n"
    assert bytes(fitted.ids).decode() == fitted.cut


def test_a_prompt_that_fits_is_left_alone():
    fitter = Fitter(lambda text: list(text.encode()), lambda ids: bytes(ids).decode())

    assert fitter.fit("abc", room=3) == Fitted(tuple(b"abc"))


def test_a_single_post_that_is_too_long_loses_its_beginning():
    fitter = Fitter(lambda text: list(text.encode()), lambda ids: bytes(ids).decode(errors="replace"))

    fitted = fitter.fit("F\nT\n\na:\n" + "ö" * 50 + "\n\nb:\n", room=20)

    assert fitted.cut == "ö" * 7 + "\n\nb:\n"  # 7 * 2 bytes and 5: a whole one more would be 21
    assert bytes(fitted.ids).decode() == fitted.cut
