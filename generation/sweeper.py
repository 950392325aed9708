"""The sweep: rings again for what was lost, frees what ran out. Two of them at once are harmless."""

import logging
import os
import socket
from datetime import timedelta

from generation.corpora import sweep_imports
from generation.models import Lease
from generation.signals import sweeping
from generation.tasks import ring_for_everything

logger = logging.getLogger(__name__)


def holder() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def sweep(every: float) -> bool:
    """One round; False when another process is doing it."""
    if not Lease.take("sweep", holder(), timedelta(seconds=2 * every + 10)):
        return False
    sweep_imports()
    for receiver, fault in sweeping.send_robust(sender=None):
        if isinstance(fault, Exception):
            logger.error("%r failed: %s", receiver, fault, exc_info=fault)
    ring_for_everything()
    return True
