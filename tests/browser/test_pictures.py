"""The README's two pictures, made from real pages. `make pictures` puts them into docs/pictures/."""

import os
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone

from annotations.models import Selection
from annotations.simulation import Effects, simulate
from generation.models import Corpus, Reply
from tests import making

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_service("chromium")]

DEMO = Path(__file__).resolve().parents[2] / "evalsite" / "demo"
# What the demo's model wrote under the thread that the picture shows, in a run of the demo.
WRITTEN = {
    "smol-careful": "I'm going to take it for a test.",
    "smol-bold": "I just got it yesterday, the place is too small, I'd love to get a new one, I'm old but still want a new "
    "toilet. I look at it and it looks like it's a bigger plate, but I can't see anything, it's hard to inspect it.",
}


@pytest.fixture
def pictures(tmp_path):
    folder = Path(os.environ.get("REPLIK_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def study():
    """The demo's threads with the people's own last posts, and a simulated run over them."""
    call_command(
        "import_threads", str(DEMO / "threads.en.jsonl"), "--corpus", "demo-en", "--language", "en", "--json"
    )
    names = ("human", "smol-careful", "smol-bold")
    campaign = making.campaign(
        "generating", corpus=Corpus.objects.get(name="demo-en"), threads=16, names=names, name="Everyday forum replies",
        slug="demo", texts=WRITTEN, expected_annotators=6, seed=20210531,
    )  # fmt: skip
    for reply in Reply.objects.filter(system__kind="human"):
        reply.items = reply.context.reference["post"]
        reply.save(update_fields=["items"])
    campaign.review()
    making.prepare_now(campaign)
    campaign.open()
    assert Selection.objects.count() == 48
    effects = Effects.read(DEMO / "effects.toml", list(names))
    simulate(campaign, annotators=6, seed=campaign.seed, name="dry-run", effects=effects)
    return campaign


def test_the_pictures_of_the_readme_show_the_real_pages(study, new_page, pictures):
    from analysis.report import make_report

    make_report(study, study.runs.get(), now=timezone.now())
    get_user_model().objects.create_superuser("lead", password="a long passphrase")
    page = new_page()

    page.goto("/join/demo/")
    page.get_by_role("button", name="I take part").click()
    page.locator("#rating").wait_for()
    page.locator("input[type=radio]").nth(1).check()
    page.get_by_text("Draft saved").wait_for()
    page.screenshot(path=pictures / "rating.png", full_page=True, caret="initial")
    page.goto("/admin/login/?next=/report/demo/%3Frun=dry-run")
    page.fill("input[name=username]", "lead")
    page.fill("input[name=password]", "a long passphrase")
    page.click("[type=submit]")
    page.locator("svg.plot").first.wait_for()
    height = page.locator("section, article").filter(has=page.locator("svg.plot")).last.bounding_box()["y"]
    page.set_viewport_size({"width": 1280, "height": 900})
    page.screenshot(
        path=pictures / "report.png", full_page=True, caret="initial",
        clip={"x": 0, "y": 0, "width": 1280, "height": min(height + 900, 3400)},
    )  # fmt: skip

    assert (pictures / "rating.png").stat().st_size > 50_000
    assert (pictures / "report.png").stat().st_size > 50_000
