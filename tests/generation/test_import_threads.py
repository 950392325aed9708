"""`import_threads`: what gets in, what is rejected, and that nothing is half done."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from generation import corpora
from generation.clock import database_now
from generation.commands import Refusal
from generation.corpora import import_file, sweep_imports
from generation.models import Corpus, Job, Thread
from generation.threads import thread_from_json, thread_to_json

pytestmark = pytest.mark.django_db

SHARED = Path(os.environ.get("REPLIK_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
WriteFile = Callable[..., Path]


def thread_line(text: str = "hej", **changes: Any) -> bytes:
    posts = [{"username": "anna", "post": [{"type": "text", "text": text}]}]
    return json.dumps({"forumTitle": "Katter", "threadTitle": "Min katt", "posts": posts, **changes}).encode()


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    """Writes lines into a file of threads."""

    def write_lines(*lines: bytes, name: str = "threads.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(b"\n".join(lines))
        return path

    return write_lines


@pytest.fixture
def rejects(tmp_path: Path) -> Path:
    return tmp_path / "data" / "rejects"


@pytest.fixture
def command(settings: Any, tmp_path: Path) -> Callable[..., tuple[int, Any, str]]:
    """Runs the command with --json; gives its exit code, its object and what it told people."""

    def run(*arguments: object) -> tuple[int, Any, str]:
        settings.DATA_DIR = tmp_path / "data"
        out, told, code = StringIO(), StringIO(), 0
        try:
            call_command("import_threads", *map(str, arguments), "--json", stdout=out, stderr=told)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, json.loads(out.getvalue()), told.getvalue()

    return run


def nothing_is_there(rejects: Path) -> bool:
    tables = Corpus.objects.exists(), Thread.objects.exists(), Job.objects.exists()
    return not any(tables) and not list(rejects.glob("*"))


# --- what gets in


def test_threads_lie_in_the_corpus_as_the_file_has_them(write: WriteFile, rejects: Path) -> None:
    quote = {"type": "quote", "username": None, "post": [{"type": "text", "text": "va?"}]}
    posts = [{"username": "anna", "post": [quote, {"type": "text", "text": "jo"}]}]
    path = write(thread_line(), thread_line(posts=posts, id="t2"))

    result = import_file(path, "katter", rejects_dir=rejects, language="en", licence="CC0")

    assert (result.imported, result.duplicates, result.rejected, result.rejects_file) == (2, 0, 0, None)
    corpus = Corpus.objects.get()
    assert (corpus.name, corpus.language, corpus.licence) == ("katter", "en", "CC0")
    first, second = Thread.objects.visible().order_by("pk")
    assert first.identity == first.content_hash
    assert (second.identity, second.posts) == ("t2", posts)
    assert (second.topic, second.title) == ("Katter", "Min katt")
    assert (second.post_count, second.characters) == (1, 5)
    assert not rejects.exists()


def test_a_second_time_adds_nothing(write: WriteFile, rejects: Path) -> None:
    path = write(thread_line("ett"), thread_line("två", id="t2"), thread_line("ett"))
    import_file(path, "katter", rejects_dir=rejects)

    again = import_file(path, "katter", rejects_dir=rejects)

    assert (again.imported, again.duplicates) == (0, 3)
    assert Thread.objects.visible().count() == 2


def test_two_corpora_may_have_the_same_threads(write: WriteFile, rejects: Path) -> None:
    path = write(thread_line())
    import_file(path, "katter", rejects_dir=rejects)

    result = import_file(path, "hundar", rejects_dir=rejects)

    assert result.imported == 1


def test_nul_and_lone_surrogates_are_replaced_and_counted(write: WriteFile, rejects: Path) -> None:
    path = write(thread_line("a\0b\ud800c"))

    result = import_file(path, "katter", rejects_dir=rejects)

    thread = Thread.objects.get()
    assert result.replaced_characters == thread.replaced_characters == 2
    assert thread.posts[0]["post"][0]["text"] == "a\ufffdb\ufffdc"


def test_text_that_looks_like_structure_stays_text(write: WriteFile, rejects: Path) -> None:
    text = "Citat: x\n\tin\n\nanna:"
    path = write(thread_line(text), thread_line("\tin"))

    import_file(path, "katter", rejects_dir=rejects)

    texts = [thread.posts[0]["post"][0]["text"] for thread in Thread.objects.order_by("pk")]
    assert texts == [text, "\tin"]


def test_a_corpus_that_is_there_keeps_its_language_unless_another_is_asked_for(
    write: WriteFile, rejects: Path
) -> None:
    import_file(write(thread_line("ett")), "katter", rejects_dir=rejects, language="en")

    import_file(write(thread_line("två")), "katter", rejects_dir=rejects, licence="CC0")

    with pytest.raises(Refusal) as refusal:
        import_file(write(thread_line("tre")), "katter", rejects_dir=rejects, language="sv")
    assert refusal.value.key == "language"
    corpus = Corpus.objects.get()
    assert (corpus.language, corpus.licence, corpus.threads.count()) == ("en", "CC0", 2)


# --- bad lines


def test_bad_lines_are_left_out_and_listed(write: WriteFile, rejects: Path) -> None:
    deep = b'{"type": "quote", "username": null, "post": [' * 100 + b"]}" * 100
    path = write(
        thread_line("ett"),
        b"{not json",
        thread_line("två").replace(b"Katter", "Kätter".encode("latin-1")),
        thread_line(posts=[]),
        b'{"forumTitle": "", "threadTitle": "", "posts": [{"post": [' + deep + b"]}]}",
        b"x" * 50_000_000,
        thread_line(id="x" * 201),
        thread_line(threadTitle="x" * 1_001),
        thread_line("tre"),
    )

    result = import_file(path, "katter", rejects_dir=rejects)

    assert (result.imported, result.rejected) == (2, 7)
    assert result.rejects_file is not None
    assert list(rejects.iterdir()) == [result.rejects_file]
    rows = [json.loads(row) for row in result.rejects_file.read_text().splitlines()]
    assert [(row["line"], row["reason"].split(":")[0].split(" (")[0]) for row in rows] == [
        (2, "not JSON"),
        (3, "not UTF-8"),
        (4, "no posts"),
        (5, "post 1, item 1"),
        (6, "longer than 8,000,000 bytes"),
        (7, "'id' has 201 characters"),
        (8, "'threadTitle' has 1,001 characters"),
    ]
    assert all(set(row) == {"line", "reason", "text"} and len(row["text"]) <= 2_000 for row in rows)


def test_the_same_id_with_other_content_is_rejected(write: WriteFile, rejects: Path) -> None:
    import_file(write(thread_line("ett", id="t1")), "katter", rejects_dir=rejects)
    path = write(
        thread_line("ett", id="t1"),
        thread_line("annat", id="t1"),
        thread_line("två"),
        thread_line("t", id="t1"),
    )

    result = import_file(path, "katter", rejects_dir=rejects)

    assert (result.imported, result.duplicates, result.rejected) == (1, 1, 2)
    assert result.rejects_file is not None
    rows = [json.loads(row) for row in result.rejects_file.read_text().splitlines()]
    assert [row["line"] for row in rows] == [2, 4]
    assert rows[0]["reason"].startswith("the id 't1' is taken by a thread with other content")
    assert '"annat"' in rows[0]["text"]
    assert Thread.objects.get(identity="t1").posts[0]["post"][0]["text"] == "ett"


def test_the_same_id_with_other_content_in_one_file_is_rejected(write: WriteFile, rejects: Path) -> None:
    path = write(thread_line("ett", id="t1"), thread_line("annat", id="t1"))

    result = import_file(path, "katter", rejects_dir=rejects)

    assert (result.imported, result.rejected) == (1, 1)


# --- bad files


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([b""], "the file is empty"),
        ([b"", b"  "], "the file is empty"),
        ([b"{", thread_line(posts=[])], "no line is a thread that can be imported; the first: not JSON"),
        ([thread_line(id="x" * 201)], "no line is a thread"),
    ],
)
def test_a_file_without_a_good_line_is_refused(
    write: WriteFile, rejects: Path, lines: list[bytes], said: str
) -> None:
    path = write(*lines)

    with pytest.raises(Refusal) as refusal:
        import_file(path, "katter", rejects_dir=rejects)

    assert refusal.value.error.startswith(said)
    assert refusal.value.file == str(path)
    assert nothing_is_there(rejects)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path, rejects: Path) -> None:
    with pytest.raises(Refusal, match="there is no such file"):
        import_file(tmp_path / "none.jsonl", "katter", rejects_dir=rejects)
    with pytest.raises(Refusal, match="this is a folder"):
        import_file(tmp_path, "katter", rejects_dir=rejects)

    assert nothing_is_there(rejects)


def test_strict_imports_nothing_where_any_line_is_bad(
    write: WriteFile, rejects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        corpora, "ROWS_PER_COMMIT", 1
    )  # so that the good line is stored before the bad one comes
    path = write(thread_line(), b"{")

    with pytest.raises(Refusal) as refusal:
        import_file(path, "katter", rejects_dir=rejects, strict=True)

    assert (refusal.value.line, refusal.value.file) == (2, str(path))
    assert nothing_is_there(rejects)


def test_strict_keeps_what_the_corpus_had(write: WriteFile, rejects: Path) -> None:
    import_file(write(thread_line("ett", id="t1")), "katter", rejects_dir=rejects)

    with pytest.raises(Refusal, match="line 2"):
        import_file(
            write(thread_line("två"), thread_line("tre", id="t1")), "katter", rejects_dir=rejects, strict=True
        )

    assert Corpus.objects.count() == Thread.objects.visible().count() == Thread.objects.count() == 1


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
def test_a_corpus_needs_a_name_that_fits(write: WriteFile, rejects: Path, name: str) -> None:
    with pytest.raises(Refusal) as refusal:
        import_file(write(thread_line()), name, rejects_dir=rejects)

    assert refusal.value.key == "corpus"


def test_a_corpus_name_is_one_line(write: WriteFile, rejects: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        import_file(write(thread_line()), "a\nb", rejects_dir=rejects)

    assert refusal.value.key == "corpus"
    assert not Corpus.objects.exists()


@pytest.mark.parametrize("language", ["!!", "svenska", "sv_SE"])
def test_a_language_is_a_code(write: WriteFile, rejects: Path, language: str) -> None:
    with pytest.raises(Refusal) as refusal:
        import_file(write(thread_line()), "katter", language=language, rejects_dir=rejects)

    assert refusal.value.key == "language"


# --- all or nothing


def test_threads_are_invisible_until_the_file_is_read_and_come_in_small_commits(
    write: WriteFile, rejects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "ROWS_PER_COMMIT", 2)
    seen: list[tuple[int, int, int]] = []

    def look(read: int, size: int, imported: int) -> None:
        seen.append((imported, Thread.objects.count(), Thread.objects.visible().count()))
        assert read <= size

    import_file(write(*(thread_line(str(n)) for n in range(5))), "katter", rejects_dir=rejects, progress=look)

    assert seen == [(2, 2, 0), (4, 4, 0), (5, 5, 0)]
    assert Thread.objects.visible().count() == 5


def test_an_import_that_is_interrupted_leaves_nothing(
    write: WriteFile, rejects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "ROWS_PER_COMMIT", 1)
    path = write(thread_line("ett"), b"{", thread_line("två"))

    def interrupt(read: int, size: int, imported: int) -> None:
        if imported == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_file(path, "katter", rejects_dir=rejects, progress=interrupt)

    assert nothing_is_there(rejects)


def aborted_import(*, pid: int, lease: timedelta, made_corpus: bool = True) -> Job:
    """What a killed process leaves: a corpus, a running job, and rows that nobody sees."""
    corpus = Corpus.objects.create(name="katter")
    arguments = {
        "corpus": corpus.pk,
        "made_corpus": made_corpus,
        "host": socket.gethostname(),
        "pid": pid,
    }
    job = Job.objects.create(
        kind="import", status="running", arguments=arguments, lease_until=database_now() + lease
    )
    for number in range(3):
        Thread.objects.create(
            corpus=corpus,
            job=job,
            identity=f"t{number}",
            content_hash="",
            posts=[],
            post_count=1,
            characters=0,
        )
    return job


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_an_aborted_import_is_swept_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "ROWS_PER_DELETE", 2)
    job = aborted_import(pid=os.getpid(), lease=timedelta(seconds=-1))

    swept = sweep_imports()

    assert swept == 1
    assert not Thread.objects.exists()
    assert not Corpus.objects.exists()
    job.refresh_from_db()
    assert job.status == "failed"
    assert sweep_imports() == 0


def test_the_sweep_keeps_a_corpus_that_was_there_before() -> None:
    aborted_import(pid=os.getpid(), lease=timedelta(seconds=-1), made_corpus=False)

    sweep_imports()

    assert Corpus.objects.exists()
    assert not Thread.objects.exists()


def test_the_sweep_leaves_a_living_import_alone() -> None:
    aborted_import(pid=os.getpid(), lease=timedelta(minutes=5))

    assert sweep_imports() == 0

    assert Thread.objects.count() == 3


def test_after_a_killed_import_the_same_file_can_be_imported_at_once(
    write: WriteFile, rejects: Path, dead_pid: int
) -> None:
    aborted_import(pid=dead_pid, lease=timedelta(minutes=5))

    result = import_file(write(thread_line("ett", id="t1")), "katter", rejects_dir=rejects)

    assert (result.imported, result.duplicates, result.rejected) == (1, 0, 0)
    assert Thread.objects.count() == 1


def test_a_second_import_into_the_same_corpus_is_refused_while_one_runs(
    write: WriteFile, rejects: Path
) -> None:
    aborted_import(pid=os.getpid(), lease=timedelta(minutes=5))

    with pytest.raises(Refusal, match="another import into katter is running"):
        import_file(write(thread_line()), "katter", rejects_dir=rejects)

    assert Thread.objects.count() == 3


def test_an_import_that_was_swept_away_while_it_slept_writes_no_more(
    write: WriteFile, rejects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "ROWS_PER_COMMIT", 1)

    def oversleep(read: int, size: int, imported: int) -> None:
        Job.objects.filter(status="running").update(lease_until=database_now() - timedelta(seconds=1))
        sweep_imports()

    with pytest.raises(Refusal, match="swept away"):
        import_file(
            write(thread_line("ett"), thread_line("två")), "katter", rejects_dir=rejects, progress=oversleep
        )

    assert nothing_is_there(rejects)


@pytest.mark.django_db(transaction=True)
def test_no_transaction_has_more_than_1000_rows(
    write: WriteFile, rejects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    take = corpora._Import.take

    def counting(self: Any, batch: Any) -> None:
        assert not transaction.get_connection().in_atomic_block
        take(self, batch)
        rows.append(len(batch))

    monkeypatch.setattr(corpora._Import, "take", counting)
    monkeypatch.setattr(corpora._Pace, "learn", lambda *_: None)
    monkeypatch.setattr(corpora, "ROWS_PER_COMMIT", 1_000)

    import_file(write(*(thread_line(str(n)) for n in range(2_500))), "katter", rejects_dir=rejects)

    assert sum(rows) == 2_500
    assert max(rows) <= 1_000


# --- the command


def test_the_command_prints_one_object(write: WriteFile, command: Any, tmp_path: Path) -> None:
    path = write(thread_line("ett"), thread_line("ett"), b"{")

    code, told, said = command(path, "--corpus", "katter")

    (rejects_file,) = (tmp_path / "data" / "rejects").iterdir()
    assert code == 0
    assert told == {"imported": 1, "duplicates": 1, "rejected": 1, "rejects_file": str(rejects_file)}
    assert said == (
        "Imported 1 thread into katter. 1 more thread in the file, already there. "
        f"Rejected 1 line; {rejects_file} says why.\n"
    )


def test_the_command_has_no_rejects_file_without_rejects(
    write: WriteFile, command: Any, tmp_path: Path
) -> None:
    code, told, _ = command(
        write(thread_line()), "--corpus", "katter", "--language", "sv", "--licence", "CC0"
    )

    assert (code, told["rejects_file"]) == (0, None)
    assert not (tmp_path / "data" / "rejects").exists()


def test_a_refusal_exits_with_1_and_names_file_and_line(write: WriteFile, command: Any) -> None:
    path = write(thread_line(), b"{")

    code, told, _ = command(path, "--corpus", "katter", "--strict")

    assert code == 1
    assert (told["file"], told["line"]) == (str(path), 2)
    assert told["error"].startswith("not JSON")


def test_wrong_usage_is_not_a_refusal(write: WriteFile, command: Any) -> None:
    with pytest.raises(CommandError, match="--corpus"):
        call_command("import_threads", str(write(thread_line())))
    with pytest.raises(CommandError, match="--format"):
        call_command("import_threads", str(write(thread_line())), "--corpus", "k", "--format", "xml")


def test_a_large_file_has_a_line_of_progress(
    write: WriteFile, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from generation.management.commands import import_threads

    monkeypatch.setattr(import_threads, "TOLD_FROM_BYTES", 0)
    clock = iter(range(0, 1_000_000, 20))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))

    _, _, said = command(write(thread_line()), "--corpus", "katter")

    assert said.startswith("100% of 0 MB, 1 thread imported, 0 s left\n")


# --- real data


@pytest.mark.needs_shared_data
@pytest.mark.parametrize(("name", "threads"), [("swedracor", 731), ("swefaq", 219), ("irc_ubuntu", 462)])
def test_real_files_come_in_whole(name: str, threads: int, rejects: Path) -> None:
    path = SHARED / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there: set REPLIK_SHARED_DATA to the folder of the shared data")

    result = import_file(path, name, rejects_dir=rejects, strict=True)

    assert (result.imported, result.rejected) == (threads, 0)
    first = json.loads(path.read_text().splitlines()[0])
    assert Thread.objects.order_by("pk")[0].posts == thread_to_json(thread_from_json(first)[0])["posts"]
