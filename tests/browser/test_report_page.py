"""The report in a real browser: wide and narrow, light and dark, followed while it is made, and from disk."""

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import expect

from analysis.report import make_report
from generation.jobs import run_waiting
from tests.analysis import judged

pytestmark = pytest.mark.django_db(transaction=True)

NO_SIDEWAYS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture(autouse=True)
def data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path


@pytest.fixture
def sign_in():
    """Gives a browser the session of somebody who runs studies."""
    client = Client()

    def sign_in(page, site):
        client.force_login(User.objects.get_or_create(username="alice", is_staff=True, is_superuser=True)[0])
        value = client.cookies[django_settings.SESSION_COOKIE_NAME].value
        page.context.add_cookies([{"name": django_settings.SESSION_COOKIE_NAME, "value": value, "url": site}])

    return sign_in


def test_the_report_fits_wide_and_narrow_light_and_dark(new_page, site, sign_in, now):
    campaign = judged.campaign("open")
    run = judged.run_of(campaign)
    make_report(campaign, run, now=now)

    for width in (1280, 360):
        for theme in ("light", "dark"):
            page = new_page(width=width, color_scheme=theme)
            sign_in(page, site)
            page.goto(f"/report/{campaign.slug}/?run={run.name}")
            for summary in page.locator("summary").all():
                summary.click()

            expect(page).to_have_title(f"{campaign.name}, simulated annotators: report – Replik")
            expect(page.get_by_role("heading", name="Can I trust it?")).to_be_visible()
            assert page.locator("figure svg").count() == 4
            assert all(
                box["width"] <= 34 * 16 for box in (e.bounding_box() for e in page.locator("svg").all())
            )
            assert page.evaluate(NO_SIDEWAYS), (width, theme)


def test_a_report_is_asked_for_and_appears_by_itself(new_page, site, sign_in):
    campaign = judged.campaign()
    page = new_page()
    sign_in(page, site)
    page.goto(f"/report/{campaign.slug}/")

    page.get_by_role("button", name="Make report").click()
    expect(page.get_by_text("Waiting for the jobs worker")).to_be_visible()
    run_waiting()

    expect(page.get_by_role("heading", name="Can I trust it?")).to_be_visible(timeout=15_000)


def test_the_saved_report_opens_from_disk_and_asks_for_nothing(new_page, now):
    report = make_report(judged.campaign(), now=now)
    page = new_page(width=360)
    asked = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto((django_settings.DATA_DIR / report.package / "report.html").as_uri())

    expect(page.get_by_role("heading", name="What may I cite?")).to_be_visible()
    assert len(asked) == 1
    assert page.evaluate(NO_SIDEWAYS)


def test_what_is_folded_or_dark_on_the_screen_is_printed_in_ink(new_page, site, sign_in, now):
    campaign = judged.campaign()
    make_report(campaign, now=now)
    page = new_page(width=700, color_scheme="dark")
    sign_in(page, site)
    page.goto(f"/report/{campaign.slug}/")
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    table = page.get_by_text("what the intervals rest on").first
    assert not table.is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(228, 225, 218)"

    page.emulate_media(media="print")

    page.wait_for_function(
        "[...document.querySelectorAll('details table')].every(e => e.checkVisibility({contentVisibilityAuto: true}))"
    )
    assert not page.get_by_role("link", name="Data package", exact=True).is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(32, 38, 43)"
