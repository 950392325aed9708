"""Corpora and threads; systems and contexts; orders and the replies they ask for."""

from generation.models.corpora import Corpus, Job, JobLost, Thread
from generation.models.leases import Lease
from generation.models.orders import Order, OrderContext, OrderSystem, Progress
from generation.models.replies import Claim, Reply
from generation.models.systems import Context, System

__all__ = [
    "Claim",
    "Context",
    "Corpus",
    "Job",
    "JobLost",
    "Lease",
    "Order",
    "OrderContext",
    "OrderSystem",
    "Progress",
    "Reply",
    "System",
    "Thread",
]
