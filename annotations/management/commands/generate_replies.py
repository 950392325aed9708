from typing import Any

from django.core.management.base import CommandParser

from annotations.commands import CampaignCommand, find_campaign
from annotations.life import ArrowRefused
from annotations.models import Campaign, Selection
from annotations.waiting import wait_for
from generation.commands import Refusal
from generation.models import Reply


class Command(CampaignCommand):
    help = "Makes the rows of the replies that a campaign wants, and rings the workers."

    def arguments(self, parser: CommandParser) -> None:
        super().arguments(parser)
        parser.add_argument("--wait", action="store_true", help="show a progress bar until all is written")

    def work(self, **options: Any) -> dict[str, Any]:
        found, wait = find_campaign(options["campaign"]), options["wait"]
        if found.status == Campaign.Status.DRAFT:
            try:
                found.generate()
            except ArrowRefused as refused:
                raise Refusal(str(refused)) from refused
        elif found.order is None:
            raise Refusal(f"{found.name} is {found.status} and has no replies of its own to write.")
        if wait:
            wait_for(found)
        told = counts(found)
        if wait and told[Reply.Status.FAILED]:
            self.exit_code = 1
        self.say(", ".join(f"{n} {status}" for status, n in told.items() if n) or "nothing to write")
        return told


def counts(campaign: Campaign) -> dict[str, int]:
    """A count per reply status, and of the screening's decisions."""
    campaign.refresh_from_db()
    told = dict(campaign.order.progress().counts) if campaign.order else dict.fromkeys(Reply.Status.values, 0)
    for status in (Selection.Status.FLAGGED, Selection.Status.REJECTED, Selection.Status.DROPPED):
        told[status] = campaign.selections.filter(status=status).count()
    return {str(key): n for key, n in told.items()}
