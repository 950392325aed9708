"""Files of threads: every bad line is named and never stops the rest."""

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from generation.readers import BadLine, GoodLine, read_threads
from generation.threads import Text, content_hash

SHARED = Path(os.environ.get("REPLIK_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def thread_line(text: str = "hej", **changes: Any) -> bytes:
    posts = [{"username": "anna", "post": [{"type": "text", "text": text}]}]
    return json.dumps({"forumTitle": "Katter", "threadTitle": "Min katt", "posts": posts, **changes}).encode()


def read(tmp_path: Path, *lines: bytes, **options: int) -> list[GoodLine | BadLine]:
    path = tmp_path / "threads.jsonl"
    path.write_bytes(b"\n".join(lines))
    return list(read_threads(path, **options))


def the_bad(tmp_path: Path, line: bytes) -> BadLine:
    """What is said of a line between two good ones."""
    first, bad, last = read(tmp_path, thread_line(), line, thread_line())
    assert isinstance(first, GoodLine)
    assert isinstance(bad, BadLine)
    assert isinstance(last, GoodLine)
    assert (bad.line, last.line) == (2, 3)
    return bad


def test_a_good_line_has_its_thread_hash_and_place(tmp_path: Path) -> None:
    (line,) = read(tmp_path, thread_line("ett", id="t1"))

    assert isinstance(line, GoodLine)
    assert line.thread.posts[0].items == (Text("ett"),)
    assert line.content_hash == content_hash(line.thread)
    assert (line.line, line.thread.id, line.replaced) == (1, "t1", 0)
    assert line.end == (tmp_path / "threads.jsonl").stat().st_size


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{not json", "not JSON (Expecting property name"),
        (b"[1, 2]", "not a JSON object"),
        (b'"hej"', "not a JSON object"),
        (b"NaN", "not a JSON object"),
        (b'{"a": "' + "å".encode("latin-1") + b'"}', "not UTF-8 (byte 8 of the line)"),
        (b'{"forumTitle": "", "threadTitle": ""}', "no posts"),
        (b'{"forumTitle": "", "threadTitle": "", "posts": []}', "no posts"),
        (b"1" * 5_000, "not JSON that we can read"),
        (b'{"posts":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(tmp_path: Path, line: bytes, said: str) -> None:
    bad = the_bad(tmp_path, line)

    assert bad.reason.startswith(said)
    assert bad.text == line.decode(errors="replace")[:2_000]


@pytest.mark.parametrize("depth", [33, 100, 100_000])
def test_quotes_nested_too_deep_reject_the_line(tmp_path: Path, depth: int) -> None:
    start, end = b'{"type": "quote", "username": null, "post": [', b"]}"
    posts = b'[{"username": null, "post": [' + start * depth + end * depth + b"]}]"

    bad = the_bad(tmp_path, b'{"forumTitle": "", "threadTitle": "", "posts": ' + posts + b"}")

    assert "32" in bad.reason
    assert "deep" in bad.reason


def test_a_line_of_50_megabytes_is_rejected_without_being_held(tmp_path: Path) -> None:
    path = tmp_path / "threads.jsonl"
    path.write_bytes(thread_line() + b"\n" + b"x" * 50_000_000 + b"\n" + thread_line())

    tracemalloc.start()
    first, bad, last = read_threads(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(bad, BadLine)
    assert (bad.line, bad.reason, bad.text) == (
        2,
        "longer than 8,000,000 bytes: split the thread",
        "x" * 2_000,
    )
    assert isinstance(first, GoodLine)
    assert isinstance(last, GoodLine)
    assert (last.line, last.end) == (3, path.stat().st_size)
    assert peak < 25_000_000


def test_a_line_may_be_just_as_long_as_the_limit(tmp_path: Path) -> None:
    size = len(thread_line("ett"))

    lines = read(tmp_path, thread_line("ett"), thread_line("etta"), thread_line("ett"), max_line_bytes=size)

    assert [type(line) for line in lines] == [GoodLine, BadLine, GoodLine]


def test_a_first_line_too_long_is_found_behind_a_byte_order_mark(tmp_path: Path) -> None:
    lines = read(tmp_path, b"\xef\xbb\xbf" + thread_line("x" * 500), thread_line(), max_line_bytes=400)

    assert [type(line) for line in lines] == [BadLine, GoodLine]
    assert lines[0].reason.startswith("longer than 400 bytes")  # type: ignore[union-attr]


def test_blank_lines_are_skipped_and_counted_as_lines(tmp_path: Path) -> None:
    lines = read(tmp_path, b"", thread_line(), b"  \r", b"", thread_line(), b"")

    assert [line.line for line in lines] == [2, 5]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_a_file_without_words_has_no_lines(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content) == []


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    lines = read(tmp_path, b"\xef\xbb\xbf" + thread_line() + b"\r", thread_line() + b"\r")

    assert [type(line) for line in lines] == [GoodLine, GoodLine]


def test_nul_and_lone_surrogates_are_replaced_and_counted(tmp_path: Path) -> None:
    (line,) = read(tmp_path, thread_line("a\0b\ud800c 😀"))

    assert isinstance(line, GoodLine)
    assert line.thread.posts[0].items == (Text("a\ufffdb\ufffdc 😀"),)
    assert line.replaced == 2


def test_the_last_of_two_equal_keys_counts(tmp_path: Path) -> None:
    (line,) = read(tmp_path, thread_line("ett")[:-1] + b', "threadTitle": "sist", "score": Infinity}')

    assert isinstance(line, GoodLine)
    assert line.thread.thread_title == "sist"


def test_text_that_looks_like_structure_is_only_text(tmp_path: Path) -> None:
    (line,) = read(tmp_path, thread_line("Citat: x\n\tin\n\nanna:"))

    assert isinstance(line, GoodLine)
    assert line.thread.posts[0].items == (Text("Citat: x\n\tin\n\nanna:"),)


@pytest.mark.needs_shared_data
@pytest.mark.parametrize(("name", "threads"), [("swedracor", 731), ("swefaq", 219), ("irc_ubuntu", 462)])
def test_real_files_are_read_whole(name: str, threads: int) -> None:
    path = SHARED / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there: set REPLIK_SHARED_DATA to the folder of the shared data")

    lines = list(read_threads(path))

    assert len(lines) == threads
    assert not [line for line in lines if isinstance(line, BadLine)]
