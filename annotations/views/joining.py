"""Coming in: the front page, the open link, the personal link, consent, and leaving this device."""

import hashlib
from secrets import token_hex

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from annotations.links import participation_of
from annotations.models import Annotator, Campaign, Participation
from annotations.views import pages
from generation.clock import database_now

TAKES_PART = "yes"


class Full(Exception):
    """As many take part as the researcher allowed."""


@require_safe
def home(request: HttpRequest) -> HttpResponseBase:
    """What this is, the studies that anybody may join, and the way in for researchers."""
    listed = Campaign.objects.filter(status=Campaign.Status.OPEN, access=Campaign.Access.OPEN)
    campaigns = [campaign for campaign in listed.order_by("name") if campaign.accepts_answers]
    return pages.show(request, "replik/home.html", {"campaigns": campaigns})


@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The open link. GET only lands: mail scanners follow links, too."""
    campaign = Campaign.objects.filter(slug=slug, access=Campaign.Access.OPEN).first()
    hidden = (Campaign.Status.DRAFT, Campaign.Status.GENERATING, Campaign.Status.REVIEW)
    if campaign is None or campaign.status in hidden:
        raise Http404
    there = pages.seat(request, slug)
    if there is not None:
        return redirect("annotations:rate", slug)
    language = _chosen_language(request, campaign)
    with pages.speaking(language):
        response = _join(request, campaign, language)
    response.headers["Content-Language"] = language
    return response


def _join(request: HttpRequest, campaign: Campaign, language: str) -> HttpResponseBase:
    if not campaign.accepts_answers:
        return pages.standing(request, campaign)
    if request.method != "POST":
        if (
            _is_full(campaign)
            and not Annotator.objects.filter(external_id=_browser(request, campaign)).exists()
        ):
            return _full(request, campaign)
        return _consent(request, campaign, language)
    if request.POST.get("answer") != TAKES_PART:
        return _declined(request, campaign)
    try:
        participation = admit(campaign, language, _browser(request, campaign))
    except Full:
        return _full(request, campaign)
    return _sit_down(request, participation)


def _browser(request: HttpRequest, campaign: Campaign) -> str:
    """Tells two presses of one button from two people: a hash of the browser's CSRF secret and the campaign."""
    secret = str(request.META.get("CSRF_COOKIE") or token_hex(16))
    return "join:" + hashlib.sha256(f"{campaign.slug}:{secret}".encode()).hexdigest()[:40]


def _is_full(campaign: Campaign) -> bool:
    most = campaign.max_annotators
    return most is not None and campaign.participations.real().count() >= most


def admit(campaign: Campaign, language: str, browser: str) -> Participation:
    """A new person in an open campaign, consent given; the same one when the same browser asks twice."""
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)
        before = Participation.objects.filter(campaign=campaign, annotator__external_id=browser).first()
        if before is not None:
            return before
        if _is_full(campaign):
            raise Full
        now = database_now()
        return Participation.admit(
            campaign,
            # The person may be known already, when the researcher has taken their part in the study away.
            Annotator.objects.get_or_create(external_id=browser)[0],
            status=Participation.Status.ACTIVE,
            language=language,
            consent_version=_version(campaign),
            consented_at=now,
            joined_at=now,
        )


@require_http_methods(["GET", "HEAD", "POST"])
def personal(request: HttpRequest, token: str) -> HttpResponseBase:
    """A personal link. GET only lands; POST consents (the first time) and sets the session."""
    participation = participation_of(token)
    if participation is None:
        raise Http404
    campaign = participation.campaign
    language = _chosen_language(request, campaign, participation.language)
    with pages.speaking(language):
        response = _personal(request, participation, language)
    response.headers["Content-Language"] = language
    return response


def _personal(request: HttpRequest, participation: Participation, language: str) -> HttpResponseBase:
    campaign = participation.campaign
    if participation.status in (Participation.Status.EXCLUDED, Participation.Status.WITHDRAWN):
        return pages.ended(request, campaign)
    consented = participation.consented_at is not None
    if not consented and not pages.at_work(participation):
        return pages.standing(request, campaign)
    if request.method != "POST":
        if not consented:
            return _consent(request, campaign, language)
        return pages.show(request, "replik/welcome.html", {"campaign": campaign})
    if not consented:
        if request.POST.get("answer") != TAKES_PART:
            return _declined(request, campaign)
        consent(participation, language)
    return _sit_down(request, participation)


def consent(participation: Participation, language: str) -> None:
    """Notes that this person takes part: which text they read, in which language, when."""
    now = database_now()
    participation.status = Participation.Status.ACTIVE
    participation.language = language
    participation.consent_version = _version(participation.campaign)
    participation.consented_at = participation.joined_at = now
    participation.save(update_fields=["status", "language", "consent_version", "consented_at", "joined_at"])


@require_http_methods(["GET", "HEAD", "POST"])
def leave(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Frees this device for somebody else; the personal link leads back. GET, such as a reload, changes nothing."""
    participation = pages.seat(request, slug)
    if request.method != "POST":
        return redirect("annotations:rate", slug) if participation else redirect("annotations:home")
    language = translation.get_language()
    if participation is not None:
        language = pages.language_for(participation.campaign, participation.language)
        pages.leave_seat(request, slug)
        # The next person at this browser is another person.
        rotate_token(request)
    with pages.speaking(language):
        response = pages.say(
            request,
            _("You have left this device"),
            _("Your answers are saved. Open your personal link to go on."),
            campaign=participation.campaign if participation else None,
        )
    response.headers["Content-Language"] = language
    return response


def _sit_down(request: HttpRequest, participation: Participation) -> HttpResponseRedirect:
    pages.take_seat(request, participation)
    campaign = participation.campaign
    has_text = str(campaign.instructions.get(participation.language, "")).strip()
    first = not participation.assignments.exists()
    page = "instructions" if has_text and first else "rate"
    return HttpResponseRedirect(reverse(f"annotations:{page}", args=[campaign.slug]), status=303)


def _chosen_language(request: HttpRequest, campaign: Campaign, kept: str = "") -> str:
    """What was chosen on the page, else what was kept, else the browser's, else the campaign's first."""
    chosen = request.POST.get("language") or request.GET.get("language")
    return pages.language_for(campaign, chosen, kept, translation.get_language())


def _version(campaign: Campaign) -> str:
    return str(campaign.consent.get("version", "1"))[:40]


def _consent(request: HttpRequest, campaign: Campaign, language: str) -> HttpResponseBase:
    text = campaign.consent.get("text", {}).get(language, "")
    return pages.show(
        request,
        "replik/consent.html",
        {
            "campaign": campaign,
            "text": pages.markdown(text),
            "version": _version(campaign),
            "language": language,
            "languages": pages.languages_of(campaign),
        },
    )


def _declined(request: HttpRequest, campaign: Campaign) -> HttpResponseBase:
    return pages.say(
        request,
        _("Thank you for considering it"),
        _("Nothing was stored. You may close this page."),
        links=[(_("Back to the information"), request.get_full_path())],
        campaign=campaign,
    )


def _full(request: HttpRequest, campaign: Campaign) -> HttpResponseBase:
    return pages.say(
        request,
        _("The study has all the people it needs"),
        _("Thank you for your interest."),
        status=403,
        campaign=campaign,
    )
