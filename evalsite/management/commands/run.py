import socket
import sys
import time
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandParser
from django.db import connections

from evalsite.supervisor import Supervisor
from generation.commands import Refusal, ReplikCommand


class Command(ReplikCommand):
    help = "Runs all of Replik on this machine: web server, workers, sweep. Ctrl-C stops it."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--demo", action="store_true", help="load the demo and play it to its first page")

    def work(self, **options: Any) -> dict[str, Any]:
        host, port, with_demo = options["host"], options["port"], options["demo"]
        if with_demo and host != "127.0.0.1":
            raise Refusal(
                "The demo has a login that anybody on this machine may use: it runs on 127.0.0.1 only. "
                "Leave out --demo to serve others.",
                key="--host",
            )
        _refuse_taken(host, port)
        supervisor = Supervisor(host, port, self._told)
        supervisor.hold()
        call_command("migrate", verbosity=0, interactive=False)
        login = None
        if with_demo:
            from evalsite import demo

            self._told("Loading the demo ...")
            login = demo.load()
        supervisor.start()
        try:
            _await_web(host, port, supervisor)
            if with_demo:
                from evalsite import demo

                demo.play(lambda: _tend(supervisor))
                self._links(host, port, login)
            else:
                self._told(f"Replik runs at http://{host}:{port}/ ; the admin at http://{host}:{port}/admin/")
            self._told("Ctrl-C stops it.")
            connections.close_all()
            supervisor.wait()
        except _Stopped:
            pass
        finally:
            self._told("\nStopping ...")
            supervisor.stop()
        self._told("Stopped. What was rated is kept; the same command goes on.")
        return {"stopped": True}

    def _told(self, sentence: str) -> None:
        self.say(sentence)
        sys.stdout.flush()

    def _links(self, host: str, port: int, login: Any) -> None:
        from evalsite import demo

        site = f"http://{host}:{port}"
        password = (
            f"password {login.password}"
            if login.password
            else (
                "the password was shown at the first start; `.venv/bin/python manage.py changepassword demo` sets another"
            )
        )
        self._told(
            f"\nReplik is ready.\n\n"
            f"  Rate as an annotator   {site}/join/{demo.SLUG}/\n"
            f"  The admin              {site}/admin/   user {login.name}, {password}\n"
            f"  The report             {site}/report/{demo.SLUG}/?run={demo.RUN}   (simulated annotators)\n"
        )


class _Stopped(Exception):
    """Ctrl-C came while something was being waited for."""


def _tend(supervisor: Supervisor) -> None:
    supervisor.tend()
    if supervisor.stopping:
        raise _Stopped


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as fault:
            raise Refusal(
                f"Port {port} on {host} cannot be used ({fault.strerror}). Stop what is there, or take another: "
                f"make run PORT={port + 1}",
                key="--port",
            ) from fault


def _await_web(host: str, port: int, supervisor: Supervisor) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        _tend(supervisor)
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.1)
    raise Refusal(f"The web server does not answer on port {port}. See the logs in the data folder's logs/.")
