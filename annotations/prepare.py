"""From written replies to items and slots: done in review, by a job, so that opening only flips the status."""

from django.db import transaction

from annotations import balance, design
from annotations.models import Campaign, Item, Run, Selection, Slot
from generation.commands import Refusal
from generation.jobs import handles
from generation.models import Job, Order, Reply, System
from generation.sampling import chance

BATCH = 500


def select_replies(campaign: Campaign) -> int:
    """Takes, per (context, system, sample), the latest attempt, and says how its screening came out."""
    assert campaign.order is not None
    latest: dict[tuple[int, int, int], Reply] = {}
    written = campaign.order.replies().written().select_related("system").order_by("attempt")
    for reply in written:
        latest[reply.context_id, reply.system_id, reply.sample] = reply
    campaign.selections.all().delete()
    Selection.objects.bulk_create(
        [
            Selection(
                campaign=campaign,
                context_id=context,
                system_id=system,
                sample=sample,
                reply=reply,
                status=_status(reply, campaign.on_quality),
            )
            for (context, system, sample), reply in latest.items()
        ],
        batch_size=BATCH,
    )
    return len(latest)


def _status(reply: Reply, on_quality: str) -> str:
    if reply.has_safety_reason:
        return Selection.Status.FLAGGED  # waits for a researcher
    if reply.has_quality_reason and on_quality == Order.OnQuality.DROP:
        return Selection.Status.DROPPED
    return Selection.Status.CLEAR


@handles(Job.Kind.PREPARE)
def prepare(job: Job) -> dict[str, int]:
    """Makes the items in seeded order, and k slots for each, with their sides."""
    with transaction.atomic():
        campaign = _waiting_for(job)
        # A run of this job that was cut short left items behind that nobody has seen.
        campaign.items.all().delete()
    planned, left_out = _planned(campaign)
    chance(campaign.seed, "items").shuffle(planned)
    firsts = balance.first_sides([pair for _, pair, *_ in planned], campaign.seed)
    for start in range(0, len(planned), BATCH):
        rows = [
            Item(
                campaign=campaign,
                job=job,
                position=start + n,
                context_id=context,
                sample=sample,
                reply_a=reply_a,
                reply_b=reply_b,
            )
            for n, (context, _, sample, reply_a, reply_b) in enumerate(planned[start : start + BATCH])
        ]
        with transaction.atomic():
            _waiting_for(job)
            make_slots(campaign, Item.objects.bulk_create(rows), firsts)
            job.advance(start + len(rows), len(planned))
    with transaction.atomic():
        campaign = _waiting_for(job)
        campaign.frame["left_out"] = left_out
        campaign.save(update_fields=["frame"])
    return {"items": len(planned), "left_out": left_out}


def _waiting_for(job: Job) -> Campaign:
    """The job's campaign, locked until the transaction ends.

    Raises Refusal where it went on without this job, by way of a draft: its items, which may have been judged by
    now, are another job's.
    """
    campaign = Campaign.objects.select_for_update().filter(pk=job.arguments["campaign"]).first()
    if campaign is None or campaign.status != Campaign.Status.REVIEW or campaign.preparing_id != job.pk:
        raise Refusal("The campaign no longer waits for these items.")
    return campaign


def _planned(campaign: Campaign) -> tuple[list[tuple[int, tuple[int, int], int, Reply, Reply]], int]:
    """(context, pair, sample, reply a, reply b) of every item whose replies may be shown, and how many may not."""
    places = campaign.ordered_systems
    pairs = design.pairs_of(campaign.pairs, [place.system.name for place in places])
    shown: dict[tuple[int, int, int], Reply] = {
        (row.context_id, row.system_id, row.sample): row.reply
        for row in campaign.selections.filter(status__in=Selection.SHOWN).select_related("reply")
    }
    planned, left_out = [], 0
    for context in campaign.campaigncontext_set.order_by("position").values_list("context_id", flat=True):
        for first, second in pairs:
            a, b = places[first], places[second]
            for i, j in design.meetings(
                a.samples,
                a.system.kind == System.Kind.HUMAN,
                b.samples,
                b.system.kind == System.Kind.HUMAN,
            ):
                reply_a = shown.get((context, a.system_id, i))
                reply_b = shown.get((context, b.system_id, j))
                if reply_a is None or reply_b is None:
                    left_out += 1
                    continue
                planned.append((context, (first, second), max(i, j), reply_a, reply_b))
    return planned, left_out


def make_slots(
    campaign: Campaign, items: list[Item], firsts: list[balance.Side], run: Run | None = None
) -> None:
    """k slots per item. `firsts` holds the side of the first slot by item position."""
    Slot.objects.bulk_create(
        [
            Slot(
                item=item,
                run=run,
                number=number,
                left=balance.side_of(firsts[item.position], number),
                campaign=campaign,
                position=item.position,
            )
            for item in items
            for number in range(1, campaign.annotators_per_item + 1)
        ],
        batch_size=2000,
    )


def slots_for_run(run: Run) -> int:
    """Gives a simulation slots of its own, with the sides of the real ones; returns how many."""
    real = Slot.objects.filter(campaign=run.campaign, run=None).order_by("number", "position")
    copies = [
        Slot(
            item_id=slot.item_id,
            run=run,
            number=slot.number,
            left=slot.left,
            campaign=run.campaign,
            position=slot.position,
        )
        for slot in real
    ]
    Slot.objects.bulk_create(copies, batch_size=2000)
    return len(copies)
