"""Who judges what: claims of slots, hand-ins, skips, and what becomes of a lease that ran out.

Every function takes `now`, the database's time, and is one transaction.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import connection, transaction
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, When

from annotations import balance
from annotations.design import SPACING
from annotations.models import (
    Assignment,
    Campaign,
    Criterion,
    Draft,
    Flag,
    Item,
    Judgement,
    Participation,
    Slot,
)

#: How many free slots a claim looks at, to find one that evens this person's sides.
LOOK = 64
#: How often a claim looks again when everything it saw was taken meanwhile.
TRIES = 3


class Conflict(Exception):
    """An answer that cannot be taken: the assignment is over, or was handed in from elsewhere."""


@dataclass(frozen=True)
class Receipt:
    """What became of an answer: it counts, or it is kept as surplus."""

    result: Literal["counted", "surplus"]
    again: bool = False  # it was stored before, under the same submit id


def _locked(rows: QuerySet[Any], *, skip: bool = False) -> QuerySet[Any]:
    """Rows locked until the transaction ends. On SQLite the transaction itself is the lock."""
    if skip and connection.features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True, of=("self",))
    if connection.features.has_select_for_update:
        return (
            rows.select_for_update(of=("self",))
            if connection.features.has_select_for_update_of
            else rows.select_for_update()
        )
    return rows


def fair_load(campaign: Campaign, slots: int, people: int) -> int:
    """How many items one person may judge: what the campaign says, and never over twice the mean load."""
    mean = slots / max(people, campaign.expected_annotators, 1)
    return min(campaign.items_per_annotator, max(1, math.floor(2 * mean)))


def main_items(campaign: Campaign) -> int:
    return campaign.items.filter(kind=Item.Kind.MAIN).count()


def load_limit(participation: Participation, items: int | None = None) -> int:
    """How many items this person may judge; `items` is how many the campaign has, where that is known already."""
    campaign = participation.campaign
    if participation.run_id:
        # A run says itself how many annotators it has; they share the work as they come.
        return campaign.items_per_annotator
    slots = (main_items(campaign) if items is None else items) * campaign.annotators_per_item
    return fair_load(campaign, slots, campaign.expected_annotators)


def release_expired(campaign: Campaign | None, now: datetime) -> int:
    """Ends showings whose lease has run out and frees their slots. They still count as seen."""
    with transaction.atomic():
        over = Assignment.objects.filter(status=Assignment.Status.OPEN, lease_until__lt=now)
        if campaign is not None:
            over = over.filter(participation__campaign=campaign)
        found = list(_locked(over, skip=True).values_list("pk", "slot_id"))
        if not found:
            return 0
        Assignment.objects.filter(pk__in=[pk for pk, _ in found]).update(
            status=Assignment.Status.EXPIRED, ended_at=now
        )
        Slot.objects.filter(pk__in=[slot for _, slot in found if slot]).update(free=True)
        return len(found)


def reconcile(campaign: Campaign) -> int:
    """Sets `free` right where it does not agree with the assignments; returns how many slots were wrong."""
    held = Exists(Assignment.objects.live().filter(slot=OuterRef("pk")))
    slots = Slot.objects.filter(campaign=campaign)
    changed = 0
    for wrong in (slots.filter(held, free=True), slots.filter(~held, free=False)):
        # Looked for first, without a lock: nearly always there is nothing to mend.
        if found := list(wrong.values_list("pk", flat=True)):
            changed += wrong.filter(pk__in=found).update(free=Case(When(free=True, then=False), default=True))
    return changed


def current(participation: Participation) -> Assignment | None:
    """The open assignment, if there is one: returning to the page gives the same item."""
    return (
        Assignment.objects.filter(participation=participation, status=Assignment.Status.OPEN)
        .select_related("item__context__thread__corpus", "item__reply_a", "item__reply_b", "slot")
        .first()
    )


def claim(participation: Participation, now: datetime) -> Assignment | None:
    """The next item for this person, or the one they have open; None when nothing is left for them."""
    campaign = participation.campaign
    with transaction.atomic():
        # One claim at a time per person: two tabs get the same item.
        _locked(Participation.objects.filter(pk=participation.pk)).get()
        release_expired(campaign, now)
        lease_until = now + timedelta(minutes=campaign.lease_minutes)
        opened = Assignment.objects.filter(participation=participation, status=Assignment.Status.OPEN)
        if opened.update(lease_until=lease_until):
            return current(participation)
        shown = list(
            Assignment.objects.filter(participation=participation)
            .order_by("place")
            .values_list(
                "item_id",
                "item__context_id",
                "status",
                "left",
                "item__reply_a__system_id",
                "item__reply_b__system_id",
            )
        )
        held = [row for row in shown if row[2] in (Assignment.Status.OPEN, Assignment.Status.SUBMITTED)]
        items = main_items(campaign)
        if len(held) >= load_limit(participation, items):
            return None
        slot = _take(participation, shown, _sides(held), items)
        if slot is None:
            return None
        Assignment.objects.create(
            participation=participation,
            item=slot.item,
            slot=slot,
            purpose=Assignment.Purpose.MAIN,
            left=slot.left,
            place=len(shown) + 1,
            opened_at=now,
            lease_until=lease_until,
        )
        return current(participation)


def _sides(held: list[tuple[Any, ...]]) -> dict[int, int]:
    """Per system: how much oftener it stood left than right."""
    evenness: dict[int, int] = {}
    for _, _, _, left, system_a, system_b in held:
        sign = 1 if left == Slot.Left.A else -1
        evenness[system_a] = evenness.get(system_a, 0) + sign
        evenness[system_b] = evenness.get(system_b, 0) - sign
    return evenness


def _take(
    participation: Participation, shown: list[tuple[Any, ...]], sides: Mapping[Any, int], items: int
) -> Slot | None:
    """Takes, among the free slots of the lowest pass that has one for this person, the one that best evens the sides.

    Only the slot that is taken gets locked: who comes at the same moment passes over that one and sees the rest.
    """
    campaign = participation.campaign
    free = eligible(participation, shown)
    who = f"{participation.run.name if participation.run else ''}:{participation.number}"
    start = balance.start_point(campaign.seed, who, items)
    for number in range(1, campaign.annotators_per_item + 1):
        for _ in range(TRIES):
            found = {slot.pk: slot for slot in _look(free.filter(number=number), start)}
            candidates = [balance.Candidate(slot.pk, *_systems(slot)) for slot in found.values()]
            for candidate in balance.most_even_first(candidates, sides):
                if _lock_free(candidate.slot):
                    return found[candidate.slot]
            if not found:
                break
    return None


def _lock_free(slot: int) -> bool:
    """Marks one slot as taken, unless somebody else is doing it or has done it."""
    mine = Slot.objects.filter(pk=slot, free=True)
    return bool(list(_locked(mine, skip=True).values_list("pk"))) and bool(mine.update(free=False))


def _look(free: QuerySet[Slot], start: int) -> list[Slot]:
    """Up to LOOK free slots in seeded order, from the person's start point and round."""
    found: list[Slot] = []
    for part in (Q(position__gte=start), Q(position__lt=start)):
        if len(found) < LOOK:
            rows = free.filter(part).order_by("position").select_related("item__reply_a", "item__reply_b")
            rows = rows.only("left", "position", "item__reply_a__system_id", "item__reply_b__system_id")
            found += list(rows[: LOOK - len(found)])
    return found


def _systems(slot: Slot) -> tuple[Any, Any]:
    a = slot.item.reply_a.system_id if slot.item.reply_a else None
    b = slot.item.reply_b.system_id if slot.item.reply_b else None
    return (a, b) if slot.left == Slot.Left.A else (b, a)


def eligible(participation: Participation, shown: list[tuple[Any, ...]] | None = None) -> QuerySet[Slot]:
    """The free slots that this person may have now."""
    campaign = participation.campaign
    if shown is None:
        shown = list(
            Assignment.objects.filter(participation=participation)
            .order_by("place")
            .values_list("item_id", "item__context_id")
        )
    free = Slot.objects.filter(campaign=campaign, run=participation.run_id, free=True)
    free = free.exclude(item__in=[row[0] for row in shown])
    recent = shown if campaign.same_context == Campaign.SameContext.ONCE else shown[-SPACING:]
    return free.exclude(item__context__in={row[1] for row in recent})


def remaining(participation: Participation) -> int:
    """How many more items this person could get: never a promise, since others take them too."""
    shown = Assignment.objects.filter(participation=participation)
    done = shown.counted().count()
    free = Slot.objects.filter(campaign=participation.campaign, run=participation.run_id, free=True)
    free = free.exclude(item__in=shown.values("item"))
    campaign = participation.campaign
    # With no more contexts than the spacing asks for in between, a second pair of one never comes up.
    if campaign.same_context == Campaign.SameContext.ONCE or campaign.contexts.count() <= SPACING:
        free = free.exclude(item__context__in=shown.values("item__context"))
        left = free.values_list("item__context", flat=True)
    else:
        left = free.values_list("item", flat=True)
    opened = shown.filter(status=Assignment.Status.OPEN).count()
    limit = max(load_limit(participation) - done - opened, 0)
    return opened + len(left.distinct()[:limit])


def submit(
    assignment: Assignment,
    submit_id: str,
    answers: Mapping[tuple[str, str], str],
    now: datetime,
    *,
    reasons: Mapping[str, str] | None = None,
    layout: str = "",
    seconds: float | None = None,
    fold_opened: bool = False,
    changes: int = 0,
) -> Receipt:
    """Stores the answers, keyed by (criterion, side); they are complete and valid.

    Late answers are stored too: they count if the slot, or another of the item with the same side, is free.
    Raises Conflict when the assignment is over or was handed in under another submit id.
    """
    with transaction.atomic():
        held = (
            _locked(Assignment.objects.filter(pk=assignment.pk))
            .select_related("participation__campaign")
            .get()
        )
        status = Assignment.Status
        if held.status in (status.SUBMITTED, status.SURPLUS):
            if held.submit_id == submit_id:
                return Receipt("counted" if held.status == status.SUBMITTED else "surplus", again=True)
            raise Conflict("This one was saved before.")
        if held.status in (status.SKIPPED, status.RETURNED, status.WITHDRAWN):
            raise Conflict("This one is over.")
        late = held.status == status.EXPIRED
        held.status = _place_for(held, late)
        held.submit_id, held.ended_at = submit_id, now
        held.layout, held.seconds, held.fold_opened, held.changes = layout, seconds, fold_opened, changes
        held.save()
        criteria = {criterion.key: criterion for criterion in held.participation.campaign.criteria.all()}
        Judgement.objects.bulk_create(
            [
                Judgement(
                    assignment=held,
                    criterion=criteria[key],
                    side=side,
                    value=value,
                    reason=(reasons or {}).get(key, ""),
                    given_at=now,
                )
                for (key, side), value in answers.items()
            ]
        )
        Draft.objects.filter(assignment=held).delete()
        return Receipt("counted" if held.status == status.SUBMITTED else "surplus")


def _place_for(held: Assignment, late: bool) -> Assignment.Status:
    """Whether a hand-in counts; a late one needs its slot back, or its twin."""
    campaign = held.participation.campaign
    if (
        campaign.status not in (Campaign.Status.OPEN, Campaign.Status.PAUSED)
        and not held.participation.run_id
    ):
        if held.slot_id:
            Slot.objects.filter(pk=held.slot_id).update(free=True)
        return Assignment.Status.SURPLUS
    if not late or held.slot_id is None:
        return Assignment.Status.SUBMITTED
    twins = Slot.objects.filter(item=held.item_id, run=held.participation.run_id, left=held.left, free=True)
    free = list(_locked(twins))
    if not free:
        return Assignment.Status.SURPLUS
    slot = next((twin for twin in free if twin.pk == held.slot_id), free[0])
    slot.free = False
    slot.save(update_fields=["free"])
    held.slot = slot
    return Assignment.Status.SUBMITTED


def skip(assignment: Assignment, reason: str, now: datetime) -> None:
    """Ends a showing without an answer and frees its slot. Raises Conflict when it is over already."""
    with transaction.atomic():
        held = _locked(Assignment.objects.filter(pk=assignment.pk)).get()
        if held.status not in (Assignment.Status.OPEN, Assignment.Status.EXPIRED):
            raise Conflict("This one is over.")
        if held.status == Assignment.Status.OPEN and held.slot_id:
            Slot.objects.filter(pk=held.slot_id).update(free=True)
        held.status, held.skip_reason, held.ended_at = Assignment.Status.SKIPPED, reason, now
        held.save(update_fields=["status", "skip_reason", "ended_at"])
        Draft.objects.filter(assignment=held).delete()


def keep_draft(assignment: Assignment, answers: Mapping[str, Any], now: datetime) -> None:
    """Keeps what is answered so far, and renews the lease: whoever answers is there."""
    with transaction.atomic():
        held = (
            _locked(Assignment.objects.filter(pk=assignment.pk))
            .select_related("participation__campaign")
            .get()
        )
        if held.status != Assignment.Status.OPEN:
            raise Conflict("This one is over.")
        held.lease_until = now + timedelta(minutes=held.participation.campaign.lease_minutes)
        held.save(update_fields=["lease_until"])
        Draft.objects.update_or_create(
            assignment=held, defaults={"answers": dict(answers), "updated_at": now}
        )


def flag(assignment: Assignment, reason: str, text: str, now: datetime) -> Flag:
    """Keeps a report; the item can still be answered. The same one sent twice is one."""
    with transaction.atomic():
        _locked(Assignment.objects.filter(pk=assignment.pk)).get()
        before = Flag.objects.filter(assignment=assignment, reason=reason, text=text).first()
        return before or Flag.objects.create(assignment=assignment, reason=reason, text=text, given_at=now)


def criteria_of(campaign: Campaign) -> list[Criterion]:
    return list(campaign.criteria.order_by("position", "id"))
