"""Replies: the rows are the queue; a worker claims some, writes them under its token, and forgets."""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import DatabaseError, connection, models, transaction
from django.db.models import F, Q

from generation.clock import database_now
from generation.models.systems import Context, System

logger = logging.getLogger(__name__)

MAX_TRIES = 3
LEASE = timedelta(seconds=90)


class ReplyQuerySet(models.QuerySet["Reply"]):
    def unsettled(self) -> "ReplyQuerySet":
        return self.filter(status__in=[Reply.Status.WAITING, Reply.Status.RUNNING])

    def written(self) -> "ReplyQuerySet":
        return self.filter(status=Reply.Status.WRITTEN)

    def claimable(self, now: datetime) -> "ReplyQuerySet":
        """Waiting, or left behind by a worker whose lease ran out."""
        return self.filter(
            Q(status=Reply.Status.WAITING) | Q(status=Reply.Status.RUNNING, lease_until__lt=now)
        )

    def of_model(self, model_key: str) -> "ReplyQuerySet":
        if model_key in {System.Kind.HUMAN, System.Kind.ENDPOINT, System.Kind.IMPORTED, System.Kind.CONTROL}:
            return self.filter(system__kind=model_key)
        return self.filter(system__kind=System.Kind.TRANSFORMERS, system__model=model_key)


class Reply(models.Model):
    """One system's answer to one context, with all that is needed to make it again. Shared by campaigns."""

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        RUNNING = "running", "running"
        WRITTEN = "written", "written"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    context = models.ForeignKey(Context, on_delete=models.PROTECT, related_name="replies")
    system = models.ForeignKey(System, on_delete=models.PROTECT, related_name="replies")
    sample = models.PositiveSmallIntegerField(default=0)
    attempt = models.PositiveSmallIntegerField(default=0, help_text="Counts redraws.")
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)

    # The claim: who writes it now, and until when they have the word.
    tries = models.PositiveSmallIntegerField(default=0, help_text="Counts retries after faults.")
    last_error = models.TextField(blank=True)
    claim_token = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)

    # What was written.
    items = models.JSONField(null=True, blank=True, help_text="The post's items in the thread form.")
    text = models.TextField(blank=True, help_text="As the model wrote it, cut at the end of the post.")
    by_user = models.TextField(blank=True, help_text="The user name that the model wrote for itself, if any.")
    screening = models.JSONField(default=list, blank=True, help_text="Reasons: {code, kind, detail}.")
    thresholds = models.JSONField(default=dict, blank=True, help_text="The screening rule's settings.")
    written_at = models.DateTimeField(null=True, blank=True)

    # How to make it again.
    seed = models.BigIntegerField(null=True, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True, help_text="The system's, when it wrote this.")
    prompt = models.TextField(blank=True, help_text="What the system read.")
    finish_reason = models.CharField(max_length=20, blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    new_tokens = models.PositiveIntegerField(null=True, blank=True)
    seconds = models.FloatField(null=True, blank=True)
    provenance = models.JSONField(default=dict, blank=True, help_text="Versions, device, dtype, batch size.")

    objects = ReplyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "replies"
        constraints = [
            models.UniqueConstraint(fields=["context", "system", "sample", "attempt"], name="reply_once"),
            models.CheckConstraint(
                condition=Q(status="written", items__isnull=False, written_at__isnull=False)
                | (~Q(status="written") & Q(written_at__isnull=True)),
                name="reply_written_has_items",
            ),
            models.CheckConstraint(
                condition=~Q(status="running") | (Q(lease_until__isnull=False) & ~Q(claim_token="")),
                name="reply_running_is_claimed",
            ),
        ]
        indexes = [
            models.Index(
                fields=["system", "id"],
                name="reply_unsettled",
                condition=Q(status__in=["waiting", "running"]),
            ),
        ]

    def __str__(self) -> str:
        return f"reply {self.pk}"

    @property
    def has_quality_reason(self) -> bool:
        return any(reason["kind"] == "quality" for reason in self.screening)

    @property
    def has_safety_reason(self) -> bool:
        return any(reason["kind"] == "safety" for reason in self.screening)


def release_running() -> int:
    """Gives back what workers that are certainly gone had claimed; a stop from outside costs no try."""
    return Reply.objects.filter(status=Reply.Status.RUNNING).update(
        status=Reply.Status.WAITING, claim_token="", lease_until=None, tries=F("tries") - 1
    )


class Claim:
    """Rows that one worker has taken, of one model. Only who holds the token may write them."""

    def __init__(self, token: str, replies: list[Reply]) -> None:
        self.token = token
        self.replies = replies

    def __len__(self) -> int:
        return len(self.replies)

    @classmethod
    def take(cls, wanted: ReplyQuerySet, limit: int) -> "Claim":
        """Up to `limit` rows. A row that failed before comes alone, so that it cannot take others down with it."""
        token = uuid4().hex
        with transaction.atomic():
            now = database_now()
            rows = wanted.claimable(now).order_by("tries", "id")
            if connection.features.has_select_for_update_skip_locked:
                rows = rows.select_for_update(skip_locked=True, of=("self",))
            found = list(rows.values_list("pk", "tries")[:limit])
            found = [row for row in found if row[1] == 0] or found[:1]
            spent = [pk for pk, tries in found if tries >= MAX_TRIES]
            Reply.objects.filter(pk__in=spent).update(
                status=Reply.Status.FAILED,
                claim_token="",
                lease_until=None,
                last_error=f"Given up after {MAX_TRIES} tries: the worker stopped each time while writing it.",
            )
            taken = [pk for pk, tries in found if tries < MAX_TRIES]
            Reply.objects.filter(pk__in=taken).update(
                status=Reply.Status.RUNNING,
                claim_token=token,
                lease_until=now + LEASE,
                started_at=now,
                tries=F("tries") + 1,
            )
        replies = Reply.objects.filter(pk__in=taken).select_related("system", "context__thread__corpus")
        return cls(token, list(replies.order_by("id")))

    def _mine(self, replies: Iterable[Reply]) -> ReplyQuerySet:
        pks = [reply.pk for reply in replies]
        return Reply.objects.filter(pk__in=pks, claim_token=self.token, status=Reply.Status.RUNNING)

    def renew(self) -> None:
        """Keeps the rows for another lease."""
        self._mine(self.replies).update(lease_until=database_now() + LEASE)

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Renews the lease from a thread while the model works: a batch may take longer than a lease."""
        over = threading.Event()

        def beat() -> None:
            try:
                while not over.wait(LEASE.total_seconds() / 4):
                    try:
                        self.renew()
                    except DatabaseError:
                        logger.warning("The lease could not be renewed; trying again.", exc_info=True)
            finally:
                connection.close()  # this thread's own

        thread = threading.Thread(target=beat, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def write(self, reply: Reply, **written: Any) -> bool:
        """Stores a reply; False when the claim was lost to another worker, whose text then counts."""
        stored = self._mine([reply]).update(
            status=Reply.Status.WRITTEN,
            written_at=database_now(),
            claim_token="",
            lease_until=None,
            last_error="",
            **written,
        )
        return bool(stored)

    def fail(self, replies: Iterable[Reply], error: str, *, final: bool) -> None:
        """Gives rows back after a fault, with the reason; `final` when trying again cannot help."""
        held = self._mine(replies)
        back = {"claim_token": "", "lease_until": None, "last_error": error}
        if not final:
            held.filter(tries__lt=MAX_TRIES).update(status=Reply.Status.WAITING, **back)
        # What is waiting again is held no more; left are those that were the last try.
        held.update(status=Reply.Status.FAILED, **back)
