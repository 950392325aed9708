"""Waiting at a terminal for what workers do: the replies of a campaign, and its items."""

import sys
import time
from collections.abc import Callable

from annotations.models import Campaign
from generation.models import Job, Reply
from generation.progress import Bar


def wait_for(campaign: Campaign, tend: Callable[[], None] = lambda: None) -> None:
    """Until the replies are written and the items prepared (or could not be). Someone else's workers do the work.

    `tend` is called at each look; what it raises ends the waiting.
    """
    bar = Bar(sys.stderr, "replies")
    while True:
        campaign.refresh_from_db()
        if campaign.order is None:
            break  # cancelled meanwhile
        progress = campaign.order.progress()
        failed = progress.counts[Reply.Status.FAILED]
        bar.show(progress.done, progress.total, progress.time_left, f"{failed} failed" if failed else "")
        job = campaign.preparing
        prepared = job is not None and job.status in (Job.Status.FINISHED, Job.Status.FAILED)
        if campaign.status != Campaign.Status.GENERATING and prepared:
            break
        tend()
        time.sleep(0.5)
    bar.end()
