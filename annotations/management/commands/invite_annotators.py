"""`invite_annotators CAMPAIGN --count N`: new people with a personal link each."""

from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from annotations.commands import CampaignCommand, find_campaign
from annotations.links import link_for
from annotations.models import Annotator, Campaign, Participation
from generation.commands import Refusal

#: All of them are one transaction, which nobody else should wait for long.
MOST = 1_000


class Command(CampaignCommand):
    help = "Invites new annotators to a campaign and prints a personal link for each of them."

    def arguments(self, parser: CommandParser) -> None:
        super().arguments(parser)
        parser.add_argument("--count", type=int, required=True, metavar="N", help="how many people")

    def work(self, **options: Any) -> dict[str, Any]:
        links = invite(find_campaign(options["campaign"]), options["count"])
        for link in links:
            self.say(link)
        return {"links": links}


def invite(campaign: Campaign, count: int) -> list[str]:
    """Admits so many people and returns their links; all of them or none."""
    if not 1 <= count <= MOST:
        raise Refusal(f"It is {count}. Use --count 1 or more, and at most {MOST:,} at a time.", key="--count")
    with transaction.atomic():
        campaign = Campaign.objects.select_for_update().get(pk=campaign.pk)
        if campaign.status in (Campaign.Status.CLOSED, Campaign.Status.ARCHIVED):
            raise Refusal(f"{campaign.name} is {campaign.status}: nobody can be invited any more.")
        there = campaign.participations.real().count()
        if campaign.max_annotators is not None and there + count > campaign.max_annotators:
            raise Refusal(
                f"{campaign.name} takes {campaign.max_annotators} annotators and has {there}. "
                f"Invite at most {max(campaign.max_annotators - there, 0)} or raise max_annotators.",
                key="access.max_annotators",
            )
        people = [Participation.admit(campaign, Annotator.objects.create()) for _ in range(count)]
    return [link_for(person) for person in people]
