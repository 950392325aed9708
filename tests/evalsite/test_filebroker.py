"""Messages as files: each taken once, never half written, a folder per queue."""

import threading
from queue import Empty

import pytest
from kombu import Connection

import evalsite.celery  # noqa: F401  (makes `files://` known)


@pytest.fixture
def channel(tmp_path):
    folder = str(tmp_path / "messages")
    connection = Connection(
        "files://localhost/",
        transport_options={
            "data_folder_in": folder,
            "data_folder_out": folder,
            "control_folder": str(tmp_path / "c"),
        },
    )
    yield connection.default_channel
    connection.release()


def test_messages_come_in_the_order_they_were_sent(channel):
    for n in range(3):
        channel._put("jobs", {"n": n})

    taken = [channel._get("jobs")["n"] for _ in range(3)]

    assert taken == [0, 1, 2]
    with pytest.raises(Empty):
        channel._get("jobs")


def test_a_queue_does_not_see_another_queues_messages(channel):
    channel._put("jobs", {"n": 1})

    sizes = (channel._size("jobs"), channel._size("generation"))

    assert sizes == (1, 0)


def test_a_message_that_is_still_being_written_is_not_there_yet(channel, tmp_path):
    folder = tmp_path / "messages" / "jobs"
    folder.mkdir(parents=True)
    (folder / "0-half.part").write_text('{"n": ')

    with pytest.raises(Empty):
        channel._get("jobs")


def test_two_workers_never_take_the_same_message(channel):
    for n in range(200):
        channel._put("jobs", {"n": n})
    taken: list[int] = []

    def work():
        while True:
            try:
                taken.append(channel._get("jobs")["n"])
            except Empty:
                return

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == list(range(200))


def test_purging_leaves_nothing(channel):
    channel._put("jobs", {"n": 1})

    assert channel._purge("jobs") == 1
    assert channel._size("jobs") == 0
