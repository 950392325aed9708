"""The decoding table of a campaign file."""

import pytest

from generation.engines.decoding import Decoding, DecodingFault


def test_an_empty_table_gives_the_defaults():
    decoding = Decoding.from_table({})

    assert decoding == Decoding()
    assert (decoding.do_sample, decoding.max_new_tokens, decoding.num_beams) == (True, 200, 1)


def test_the_table_of_the_design_is_read():
    table = {"num_beams": 5, "do_sample": True, "no_repeat_ngram_size": 3, "max_new_tokens": 200, "seed": 1}

    decoding = Decoding.from_table(table)

    assert (decoding.num_beams, decoding.no_repeat_ngram_size) == (5, 3)


def test_a_table_comes_back_whole():
    decoding = Decoding(seed=7, temperature=0.6, bad_words=("Citat:", "\t"), context_size=4, by_user="anna")

    again = Decoding.from_table(decoding.to_table())

    assert again == decoding


def test_the_table_holds_nothing_that_toml_cannot_say():
    table = Decoding().to_table()

    assert None not in table.values()
    assert "by_user" not in table


def test_every_fault_is_named_at_once():
    table = {"temprature": 1.0, "top_p": 1.5, "top_k": True, "max_new_tokens": "many", "seed": 3}

    with pytest.raises(DecodingFault) as caught:
        Decoding.from_table(table)

    assert [key for key, _ in caught.value.faults] == ["temprature", "top_p", "top_k", "max_new_tokens"]
    assert "did you mean temperature?" in dict(caught.value.faults)["temprature"]
    assert "not 1.5" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", 0),
        ("temperature", float("nan")),
        ("top_p", 0),
        ("top_k", -1),
        ("max_new_tokens", 0),
        ("num_beams", 0),
        ("do_sample", 1),
        ("seed", 1.5),
        ("context_size", 0),
        ("by_user", "anna\nbo"),
        ("bad_words", "Citat:"),
        ("bad_words", [""]),
        ("repetition_penalty", 0),
    ],
)
def test_a_wrong_value_is_refused(key, value):
    with pytest.raises(DecodingFault) as caught:
        Decoding.from_table({key: value})

    assert caught.value.faults[0][0] == key


def test_more_tokens_forbidden_to_end_than_there_are_is_refused():
    with pytest.raises(DecodingFault, match="must not exceed max_new_tokens"):
        Decoding.from_table({"min_new_tokens": 5, "max_new_tokens": 4})


def test_equal_settings_have_equal_fingerprints_however_they_are_written():
    spelled = Decoding.from_table({"temperature": 1, "top_p": 1.0, "seed": 1})

    assert spelled.fingerprint == Decoding().fingerprint
    assert Decoding(seed=2).fingerprint != Decoding().fingerprint
