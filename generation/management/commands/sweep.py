import logging
import time
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError, close_old_connections

from generation.commands import ReplikCommand
from generation.sweeper import sweep

logger = logging.getLogger(__name__)


class Command(ReplikCommand):
    help = "Rings again for what was lost and frees what ran out: once, or every so many seconds."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--every", type=float, metavar="SECONDS", help="go on for ever, at this interval")

    def work(self, **options: Any) -> dict[str, Any]:
        every = options["every"]
        if every is None:
            swept = sweep(0)
            self.say("Swept." if swept else "Another process is sweeping.")
            return {"swept": swept}
        while True:
            close_old_connections()
            try:
                sweep(every)
            except DatabaseError:
                logger.exception("The sweep will try again.")
            time.sleep(every)
