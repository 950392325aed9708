"""Personal links: a participation and a proof that we made the link. Nothing secret is stored.

The proof is an HMAC over the participation and its link version, so the same link can be sent again at any time,
and raising the version revokes it.
"""

import re

from django.conf import settings
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from annotations.models import Participation

_FORM = re.compile(r"([1-9]\d{0,17})-([0-9a-f]{40})")


def token_for(participation: Participation) -> str:
    return f"{participation.pk}-{_proof(participation)}"


def path_for(participation: Participation) -> str:
    return reverse("annotations:personal", args=[token_for(participation)])


def link_for(participation: Participation) -> str:
    """The whole address, to be mailed or printed."""
    return f"{settings.SITE_URL}{path_for(participation)}"


def participation_of(token: str) -> Participation | None:
    """Whose link this is; None where we did not make it, or where it was revoked."""
    found = _FORM.fullmatch(token)
    if not found:
        return None
    participation = (
        Participation.objects.select_related("campaign", "annotator").filter(pk=int(found[1])).first()
    )
    if participation is None or not constant_time_compare(found[2], _proof(participation)):
        return None
    return participation


def _proof(participation: Participation) -> str:
    value = f"{participation.pk}:{participation.link_version}"
    return salted_hmac("annotations.links", value, algorithm="sha256").hexdigest()[:40]
