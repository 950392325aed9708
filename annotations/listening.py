"""What annotations does when generation tells it something."""

from typing import Any

from django.dispatch import receiver

from annotations.models import Campaign
from generation.models import Order
from generation.signals import order_settled


@receiver(order_settled)
def campaigns_reach_review(order: Order, **kwargs: Any) -> None:
    """Nothing is left to write: the campaigns that waited for it go on."""
    for campaign in Campaign.objects.filter(order=order, status=Campaign.Status.GENERATING):
        campaign.review()
