"""Orders: generation's own record of what is wanted, in which it knows nothing of campaigns."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction
from django.db.models import Count, F, Max, Q, Sum

from generation.clock import database_now
from generation.models.replies import Reply, ReplyQuerySet
from generation.models.systems import Context, System
from generation.signals import order_settled

logger = logging.getLogger(__name__)


class Order(models.Model):
    """Systems x contexts x samples to be written, and the screening rule they are written under."""

    class OnQuality(models.TextChoices):
        SHOW = "show", "show them"
        REDRAW = "redraw", "draw again"
        DROP = "drop", "drop them"

    systems: "models.ManyToManyField[System, OrderSystem]" = models.ManyToManyField(
        System, through="OrderSystem"
    )
    contexts: "models.ManyToManyField[Context, OrderContext]" = models.ManyToManyField(
        Context, through="OrderContext"
    )
    on_quality = models.CharField(max_length=10, choices=OnQuality, default=OnQuality.SHOW)
    max_redraws = models.PositiveSmallIntegerField(default=2)
    created_at = models.DateTimeField(default=database_now)
    settled_at = models.DateTimeField(null=True, blank=True, help_text="When nothing was left to write.")
    cancelled_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"order {self.pk}"

    @classmethod
    def place(
        cls,
        systems: Iterable[tuple[System, int]],
        contexts: Iterable[Context],
        *,
        on_quality: str = OnQuality.SHOW,
        max_redraws: int = 2,
    ) -> "Order":
        """Records the wish and makes the rows that do not exist yet; those written before are used again."""
        systems, contexts = list(systems), list(contexts)
        with transaction.atomic():
            order = cls.objects.create(on_quality=on_quality, max_redraws=max_redraws)
            OrderSystem.objects.bulk_create(
                [OrderSystem(order=order, system=system, samples=samples) for system, samples in systems]
            )
            OrderContext.objects.bulk_create(
                [OrderContext(order=order, context=context, position=n) for n, context in enumerate(contexts)]
            )
        rows = [
            Reply(context=context, system=system, sample=sample)
            for context in contexts
            for system, samples in systems
            # The human reference is one text: it repeats for every sample.
            for sample in range(1 if system.kind == System.Kind.HUMAN else samples)
        ]
        for start in range(0, len(rows), 1000):
            Reply.objects.bulk_create(rows[start : start + 1000], ignore_conflicts=True)
        # What was cancelled or failed before is wanted again, and gets its tries anew.
        order._call_back(Reply.Status.FAILED)
        return order

    def replies(self) -> ReplyQuerySet:
        """Every attempt at everything this order wants. Redraws that only another order asked for are not its own."""
        return Reply.objects.filter(
            attempt__lte=self.max_redraws if self.on_quality == self.OnQuality.REDRAW else 0,
            context__in=OrderContext.objects.filter(order=self).values("context"),
            system__in=OrderSystem.objects.filter(order=self).values("system"),
        ).filter(
            Q(system__kind=System.Kind.HUMAN, sample=0)
            | Q(
                sample__lt=models.Subquery(
                    OrderSystem.objects.filter(order=self, system=models.OuterRef("system")).values(
                        "samples"
                    )[:1]
                )
            )
        )

    def unsettled_models(self, *, only_idle: bool = False) -> list[str]:
        """The models that a worker must load for what is left: one doorbell each.

        With `only_idle`, those that nobody is writing for under a live lease.
        """
        left = self.replies().unsettled()
        keys = self._models_of(left)
        if only_idle:
            keys -= self._models_of(left.filter(lease_until__gte=database_now()))
        return sorted(keys)

    @staticmethod
    def _models_of(replies: ReplyQuerySet) -> set[str]:
        pairs = replies.values_list("system__kind", "system__model").distinct()
        return {System(kind=kind, model=model).model_key for kind, model in pairs}

    def redraw(self) -> int:
        """Asks for the next attempt where the rule says so; returns how many were asked for."""
        if self.on_quality != self.OnQuality.REDRAW:
            return 0
        latest = self.replies().values("context", "system", "sample").annotate(last=Max("attempt"))
        wanted = []
        for row in latest.filter(last__lt=self.max_redraws):
            reply = Reply.objects.get(
                context=row["context"], system=row["system"], sample=row["sample"], attempt=row["last"]
            )
            if reply.has_quality_reason and reply.system.kind == System.Kind.TRANSFORMERS:
                wanted.append(
                    Reply(
                        context_id=reply.context_id,
                        system_id=reply.system_id,
                        sample=reply.sample,
                        attempt=reply.attempt + 1,
                    )
                )
        Reply.objects.bulk_create(wanted, ignore_conflicts=True)
        return len(wanted)

    def settle(self) -> bool:
        """Closes the order if nothing is left to write, and tells those who wait for it; True when it closed now."""
        if self.settled_at or self.cancelled_at:
            return False
        # What another order called off while this one was being placed is still wanted here.
        self._call_back()
        if self.replies().unsettled().exists() or self.redraw():
            return False
        if self.replies().unsettled().exists():  # another process asked for redraws since the first look
            return False
        closed = Order.objects.filter(pk=self.pk, settled_at=None, cancelled_at=None).update(
            settled_at=database_now()
        )
        if closed:
            self.refresh_from_db()
            # Whoever listens may fail; the sweep tells them again.
            for receiver, fault in order_settled.send_robust(sender=Order, order=self):
                if isinstance(fault, Exception):
                    logger.error("%r failed: %s", receiver, fault, exc_info=fault)
        return bool(closed)

    def _call_back(self, *statuses: str) -> None:
        """Has what was cancelled (or is in one of the other statuses) written after all, with its tries anew."""
        self.replies().filter(status__in=[Reply.Status.CANCELLED, *statuses]).update(
            status=Reply.Status.WAITING, tries=0, last_error=""
        )

    def cancel(self) -> None:
        """Stops writing what no other order wants. What is written stays; running rows finish."""
        with transaction.atomic():
            Order.objects.filter(pk=self.pk, settled_at=None).update(cancelled_at=database_now())
            self.refresh_from_db()
            wanted_elsewhere = Order.objects.filter(
                settled_at=None,
                cancelled_at=None,
                ordersystem__system=models.OuterRef("system"),
                ordercontext__context=models.OuterRef("context"),
            )
            self.replies().filter(status=Reply.Status.WAITING).exclude(
                models.Exists(wanted_elsewhere)
            ).update(status=Reply.Status.CANCELLED)

    def progress(self, now: datetime | None = None) -> "Progress":
        return Progress(self, now or database_now())


class OrderSystem(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE)
    system = models.ForeignKey(System, on_delete=models.PROTECT)
    samples = models.PositiveSmallIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "system"], name="system_once_per_order"),
            models.CheckConstraint(condition=Q(samples__gte=1), name="order_wants_a_sample"),
        ]

    def __str__(self) -> str:
        return f"{self.system} in order {self.order_id}"


class OrderContext(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE)
    context = models.ForeignKey(Context, on_delete=models.PROTECT)
    position = models.PositiveIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["order", "context"], name="context_once_per_order"),
        ]

    def __str__(self) -> str:
        return f"context {self.context_id} in order {self.order_id}"


class Progress:
    """How far an order has come: a count per status and system, tokens per second, and the time left."""

    def __init__(self, order: Order, now: datetime) -> None:
        self.order = order
        self.by_system: dict[str, dict[str, int]] = {}
        self.counts: dict[str, int] = dict.fromkeys(Reply.Status.values, 0)
        rows = (
            order.replies().values("system__name", "status").annotate(n=Count("id")).order_by("system__name")
        )
        for row in rows:
            name, status, n = row["system__name"], row["status"], row["n"]
            self.by_system.setdefault(name, dict.fromkeys(Reply.Status.values, 0))[status] = n
            self.counts[status] += n
        self.total = sum(self.counts.values())
        self.left = self.counts[Reply.Status.WAITING] + self.counts[Reply.Status.RUNNING]
        self.done = self.total - self.left
        self._pace(now)

    def _pace(self, now: datetime) -> None:
        """From what models wrote since the order was placed; human replies cost nothing and would flatter it."""
        written = (
            self.order.replies()
            .filter(status=Reply.Status.WRITTEN, written_at__gte=self.order.created_at, new_tokens__gt=0)
            .aggregate(n=Count("id"), tokens=Sum("new_tokens"), seconds=Sum("seconds"))
        )
        first = (
            self.order.replies()
            .filter(started_at__gte=self.order.created_at, new_tokens__gt=0)
            .aggregate(first=models.Min(F("started_at")))["first"]
        )
        self.tokens_per_second: float | None = None
        self.time_left: timedelta | None = None
        if not written["n"] or first is None:
            return
        end = self.order.settled_at or now
        elapsed = max((end - first).total_seconds(), 0.001)
        self.tokens_per_second = written["tokens"] / elapsed
        self.time_left = timedelta(seconds=elapsed / written["n"] * self.left)

    def as_json(self) -> dict[str, Any]:
        return dict(self.counts)
