"""`manage.py run`: starts everything, restarts what dies, stops all cleanly, and never runs twice on one folder."""

import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests import services
from tests.installation import ROOT, install, listens, until


def start(installation, log, port=None):
    with log.open("a") as file:
        return subprocess.Popen(
            [sys.executable, "manage.py", "run", "--port", str(port or installation.port)], cwd=ROOT,
            env=installation.env, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip


@pytest.fixture
def running(tmp_path):
    installation = install("laptop", tmp_path)
    log = tmp_path / "run.log"
    process = start(installation, log)
    until(lambda: listens(installation.port), 60)
    yield installation, process, log
    if process.poll() is None:
        process.kill()
        process.wait()


def children_of(pid: int) -> list[int]:
    said = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in said.stdout.split()]


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_child_is_started_again_and_that_is_said(running):
    installation, process, log = running
    web = children_of(process.pid)[0]

    os.killpg(web, signal.SIGKILL)

    until(lambda: "web stopped (exit -9); starting it again" in log.read_text(), 20)
    until(lambda: listens(installation.port), 30)
    with urllib.request.urlopen(installation.site) as response:
        assert response.status == 200


def test_an_interrupt_stops_every_process_and_leaves_no_port_behind(running):
    installation, process, _log = running
    children = children_of(process.pid)

    process.send_signal(signal.SIGINT)

    assert process.wait(30) == 0
    assert len(children) == 4
    assert not any(exists(child) for child in children)
    assert not listens(installation.port)


def test_a_second_one_on_the_same_data_folder_is_refused(running):
    installation, _, log = running
    second = log.with_name("second.log")

    other = start(installation, second, port=services.free_port())

    assert other.wait(30) == 1
    assert "already" in second.read_text()


def test_a_taken_port_is_refused_with_what_to_do(running):
    installation, _, log = running
    second = log.with_name("second.log")

    other = start(installation, second)

    assert other.wait(30) == 1
    assert f"PORT={installation.port + 1}" in second.read_text()
