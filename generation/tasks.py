"""Celery's side: each task looks at the tables, does what it finds for a minute or two, and rings again."""

from celery import shared_task
from celery.signals import worker_ready
from django.db import close_old_connections

from generation import jobs
from generation.clock import database_now
from generation.doorbell import ring_for_jobs, ring_for_order
from generation.models import Job, Order


@shared_task(name="generation.tasks.write_replies")
def write_replies(order_id: int, model_key: str) -> None:
    """Writes what an order wants of one model."""
    from generation.writing import write_for_order

    order = Order.objects.filter(pk=order_id, cancelled_at=None).first()
    if order is None:
        return
    if write_for_order(order, model_key):
        ring_for_order(order)
    elif not order.settle():
        # Redraws, which settling has just asked for, or rows of a model that nobody writes for.
        ring_for_order(order, only_idle=True)


@shared_task(name="generation.tasks.run_jobs")
def run_jobs() -> None:
    """Does the jobs that wait."""
    jobs.run_waiting()


def ring_for_everything() -> None:
    """Rings for whatever the tables say is left: what a lost message, or a worker that died, left behind."""
    for order in Order.objects.filter(settled_at=None, cancelled_at=None):
        if not order.settle():
            ring_for_order(order, only_idle=True)
    if Job.objects.ready(database_now()).exists():
        ring_for_jobs()


@worker_ready.connect
def look_at_the_tables(**kwargs: object) -> None:
    """A worker that starts does not wait for a ring."""
    close_old_connections()
    ring_for_everything()
