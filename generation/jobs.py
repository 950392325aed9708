"""Bulk work under job rows: who can do which kind, and how a worker goes through what waits."""

import logging
from collections.abc import Callable
from typing import Any

from generation.clock import database_now
from generation.commands import Refusal
from generation.models import Job, JobLost

logger = logging.getLogger(__name__)

Handler = Callable[[Job], dict[str, Any]]
_handlers: dict[str, Handler] = {}


def handles(kind: str) -> Callable[[Handler], Handler]:
    """Marks the function that does jobs of a kind; what it returns is kept as the job's result."""

    def register(handler: Handler) -> Handler:
        _handlers[kind] = handler
        return handler

    return register


def run_job(job: Job) -> bool:
    """Does one job if no one else has it. Its fault stays with it and stops no other."""
    if job.kind not in _handlers or not job.claim():
        return False
    try:
        _do(job)
    except JobLost:
        logger.warning("%s was silent for too long; another process has it now", job)
        return False
    return True


def _do(job: Job) -> None:
    try:
        job.finish(_handlers[job.kind](job))
    except JobLost:
        raise
    except Refusal as refusal:
        job.fail(str(refusal))
    except Exception as fault:
        logger.exception("%s failed", job)
        job.fail(f"{type(fault).__name__}: {fault}")


def run_waiting() -> int:
    """Goes through everything that waits; returns how many jobs it did."""
    done = 0
    for job in Job.objects.ready(database_now()).order_by("id"):
        done += run_job(job)
    return done
