"""The life of a campaign: its arrows, each a verb with its guard.

draft -> generating -> review -> open <-> paused -> closed -> archived; review -> draft to change anything;
generating -> draft cancels; closed -> open only while no report was made.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from django.db import transaction

from annotations import checklist
from generation.clock import database_now
from generation.sampling import TooFewThreads

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from annotations.models import Campaign


class ArrowRefused(Exception):
    """An arrow that cannot be taken now: one sentence that says what is missing or in the way."""


#: Where each arrow may start. The page offers those that start where the campaign is.
ARROWS: dict[str, tuple[str, ...]] = {
    "generate": ("draft",),
    "cancel": ("generating",),
    "revise": ("review",),
    "open": ("review",),
    "pause": ("open",),
    "resume": ("paused",),
    "close": ("open", "paused"),
    "reopen": ("closed",),
    "archive": ("closed",),
}


class Life:
    """The verbs of a campaign's life, mixed into the model."""

    def can(self, arrow: str) -> bool:
        return cast("Campaign", self).status in ARROWS[arrow]

    def _leave(self, arrow: str) -> Campaign:
        """The campaign, locked and fresh, if the arrow starts here. Call it inside a transaction."""
        from annotations.models import Campaign

        me = cast("Campaign", self)
        Campaign.objects.select_for_update().get(pk=me.pk)
        me.refresh_from_db()
        if not self.can(arrow):
            starts = " or ".join(ARROWS[arrow])
            raise ArrowRefused(
                f"{me.name} is {me.status}; only a campaign that is {starts} can take this step."
            )
        return me

    def _arrive(
        self, status: str, what: str, *, who: User | None, at: datetime, reason: str = "", **details: Any
    ) -> None:
        from annotations.models import Event

        me = cast("Campaign", self)
        me.status = status
        me.save()
        Event.record(me, what, at=at, who=who, reason=reason, status=status, **details)

    def _check(self, arrow: str) -> None:
        lacking = checklist.missing(cast("Campaign", self), arrow)
        if lacking:
            raise ArrowRefused(" ".join(f"{row.title}: {row.sentence}" for row in lacking))

    # --- the arrows

    def generate(self, *, who: User | None = None) -> None:
        """draft -> generating: draws the sample, orders what is missing, and rings the workers."""
        from annotations import design
        from annotations.models import CampaignContext, CampaignSystem
        from generation.doorbell import ring_for_order
        from generation.models import Order, System

        with transaction.atomic():
            me = self._leave("generate")
            self._check("generate")
            places: list[CampaignSystem] = me.ordered_systems
            needs_reference = any(place.system.kind == System.Kind.HUMAN for place in places)
            found = design.candidates(me, needs_reference=needs_reference)
            try:
                drawn = design.draw_threads(me, found)
            except TooFewThreads as fault:
                raise ArrowRefused(f"Sample: {fault}.") from fault
            me.campaigncontext_set.all().delete()
            contexts = [
                design.context_at(found[key], cut)
                for key in drawn.keys
                for cut in design.cuts(me, found[key], needs_reference=needs_reference)
            ]
            CampaignContext.objects.bulk_create(
                [
                    CampaignContext(campaign=me, context=context, position=n)
                    for n, context in enumerate(contexts)
                ]
            )
            me.frame = {
                "matching": len(found),
                "drawn": len(drawn.keys),
                "strata": [
                    {"name": stratum.name, "available": stratum.available, "drawn": stratum.drawn}
                    for stratum in drawn.strata
                ],
            }
            order = Order.place(
                [(place.system, place.samples) for place in places],
                contexts,
                on_quality=me.on_quality,
                max_redraws=me.max_redraws,
            )
            me.order = order
            self._arrive("generating", "generate", who=who, at=database_now(), contexts=len(contexts))
        if not order.settle():
            ring_for_order(order)
        cast("Campaign", self).refresh_from_db()

    def cancel(self, *, who: User | None = None) -> None:
        """generating -> draft: what is written stays for the next time."""
        with transaction.atomic():
            me = self._leave("cancel")
            order, me.order = me.order, None
            if order is not None:
                order.cancel()
            self._arrive("draft", "cancel", who=who, at=database_now())

    def review(self) -> None:
        """generating -> review, when the order is settled: takes the replies and has the items prepared."""
        from annotations.prepare import select_replies
        from generation.doorbell import ring_for_jobs
        from generation.models import Job

        with transaction.atomic():
            me = cast("Campaign", self)
            type(me).objects.select_for_update().get(pk=me.pk)
            me.refresh_from_db()
            if me.status != me.Status.GENERATING:
                return  # told twice
            if me.order is None or me.order.replies().unsettled().exists():
                return  # told of an order that was cancelled; the one that came after it still writes
            select_replies(me)
            me.preparing = Job.objects.create(kind=Job.Kind.PREPARE, arguments={"campaign": me.pk})
            self._arrive("review", "review", who=None, at=database_now())
        ring_for_jobs()

    def revise(self, *, who: User | None = None) -> None:
        """review -> draft, to change anything. Items go; contexts and replies that still fit are used again."""
        with transaction.atomic():
            me = self._leave("revise")
            if me.participations.filter(assignments__isnull=False).exists():
                raise ArrowRefused(
                    f"{me.name} has been judged by {me.participations.count()} annotators already "
                    "(simulated ones count): make a copy and change that."
                )
            me.items.all().delete()
            me.selections.all().delete()
            me.order, me.preparing = None, None
            self._arrive("draft", "revise", who=who, at=database_now())

    def open(self, *, who: User | None = None) -> None:
        """review -> open. From here on sample, systems, criteria, design and plan are frozen."""
        with transaction.atomic():
            me = self._leave("open")
            self._check("open")
            now = database_now()
            me.plan_hash = hashlib.sha256(
                json.dumps(me.plan, sort_keys=True, ensure_ascii=False).encode()
            ).hexdigest()
            me.plan_frozen_at = now
            self._arrive("open", "open", who=who, at=now, plan_hash=me.plan_hash, wording=me.wording())

    def pause(self, *, who: User | None = None, reason: str = "") -> None:
        with transaction.atomic():
            self._leave("pause")
            self._arrive("paused", "pause", who=who, at=database_now(), reason=reason)

    def resume(self, *, who: User | None = None) -> None:
        with transaction.atomic():
            self._leave("resume")
            self._arrive("open", "resume", who=who, at=database_now())

    def close(self, *, who: User | None = None, reason: str = "") -> None:
        """open or paused -> closed. Late answers are still stored, as surplus."""
        with transaction.atomic():
            self._leave("close")
            self._arrive("closed", "close", who=who, at=database_now(), reason=reason)

    def reopen(self, *, who: User | None = None, reason: str = "") -> None:
        """closed -> open, with a reason, and only while no report was made."""
        with transaction.atomic():
            me = self._leave("reopen")
            if not reason.strip():
                raise ArrowRefused("Say why it is opened again; the reason is kept and exported.")
            if me.reports.filter(run=None).exists():
                raise ArrowRefused("A report of this campaign was made, so its data must stay as they are.")
            self._arrive("open", "reopen", who=who, at=database_now(), reason=reason)

    def archive(self, *, who: User | None = None) -> None:
        with transaction.atomic():
            self._leave("archive")
            self._arrive("archived", "archive", who=who, at=database_now())

    @property
    def is_frozen(self) -> bool:
        """Whether sample, systems, criteria, design and plan can no longer be changed."""
        return cast("Campaign", self).status != "draft"

    @property
    def is_collecting(self) -> bool:
        """Whether answers still come in, so that nobody should look at results."""
        return cast("Campaign", self).status in ("open", "paused")

    @property
    def accepts_answers(self) -> bool:
        """Whether annotators are given items now."""
        me = cast("Campaign", self)
        now = database_now()
        in_time = (me.opens is None or me.opens <= now) and (me.closes is None or now < me.closes)
        return me.status == me.Status.OPEN and in_time
