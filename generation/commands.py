"""What all of Replik's commands share: `--json`, one clear sentence for a refusal, and the exit codes 0, 1, 2."""

import json
import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError


class Refusal(Exception):
    """A thing that cannot be done, told to the person who asked: what is wrong, where, and what to do.

    `file`, `line` and `key` say where, as far as they apply; `more` holds further faults of the same input.
    """

    def __init__(
        self,
        error: str,
        *,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
        more: list["Refusal"] | None = None,
    ) -> None:
        super().__init__(error)
        self.error, self.file, self.line, self.key, self.more = error, file, line, key, more or []

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"error": self.error}
        for name in ("file", "line", "key"):
            if getattr(self, name) is not None:
                told[name] = getattr(self, name)
        if self.more:
            told["more"] = [fault.as_json() for fault in self.more]
        return told

    def __str__(self) -> str:
        place = ", ".join(
            part
            for part in (
                self.file,
                f"line {self.line}" if self.line is not None else None,
                f"key {self.key}" if self.key is not None else None,
            )
            if part
        )
        lines = [f"{place}: {self.error}" if place else self.error]
        return "\n".join(lines + [str(fault) for fault in self.more])


class ReplikCommand(BaseCommand):
    """A command of the contract. Subclasses write `arguments` and `work`; `work` returns the object of `--json`.

    With `--json`, stdout holds that one object and nothing else; people's sentences go to stderr then.
    """

    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        self.arguments(parser)

    def arguments(self, parser: CommandParser) -> None:
        """The command's own arguments."""

    def work(self, **options: Any) -> dict[str, Any]:
        """Does it, and returns what `--json` prints. Raises `Refusal`."""
        raise NotImplementedError

    def say(self, sentence: str) -> None:
        """A sentence for the person at the terminal."""
        (self.stderr if self.as_json else self.stdout).write(sentence)

    def handle(self, *args: Any, **options: Any) -> None:
        self.as_json: bool = options.pop("json")
        try:
            told = self.work(**options)
        except Refusal as refusal:
            self._refuse(refusal)
        except DatabaseError as fault:
            self._refuse(_of_the_database(fault))
        except KeyboardInterrupt:
            self.stderr.write("Stopped.")
            sys.exit(130)
        if self.as_json:
            self.stdout.write(json.dumps(told, ensure_ascii=False))
        if self.exit_code:
            sys.exit(self.exit_code)

    def _refuse(self, refusal: Refusal) -> NoReturn:
        if self.as_json:
            self.stdout.write(json.dumps(refusal.as_json(), ensure_ascii=False))
        else:
            self.stderr.write(str(refusal))
        sys.exit(1)

    exit_code = 0  # a command that did its work but has bad news (replies that failed) sets 1


def _of_the_database(fault: Exception) -> Refusal:
    """What the one who runs Replik can mend; anything else is ours, and is raised again."""
    said = str(fault).strip()
    if any(words in said for words in ("no such table", "no such column", "does not exist")) and (
        "FATAL" not in said
    ):
        return Refusal("The database has no tables yet, or old ones. Run: .venv/bin/python manage.py migrate")
    if any(
        words in said for words in ("unable to open", "readonly", "connection", "FATAL", "not a database")
    ):
        return Refusal(f"The database cannot be used ({said}). Check DATABASE_URL and REPLIK_DATA_DIR.")
    raise fault
