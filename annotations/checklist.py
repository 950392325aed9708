"""What a campaign waits for. The same sentences stand on its page and refuse the arrows.

Other apps add rows: `checklist.add(function)`, where the function takes a campaign and gives rows.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from annotations.scales import SCALES
from generation.engines import EngineFault
from generation.engines.folders import find_model
from generation.models import Job, Reply, System

if TYPE_CHECKING:
    from annotations.models import Campaign, CampaignSystem


@dataclass(frozen=True)
class Row:
    """One thing: is it there, what is to be said of it, which arrow it holds up, and where it is mended."""

    key: str
    title: str
    ready: bool
    sentence: str
    blocks: tuple[str, ...] = ()  # of "generate", "open"
    mend: str = ""  # the section of the campaign's form that mends it


Maker = Callable[["Checked"], Iterable[Row]]
_makers: list[Maker] = []


def add(maker: Maker) -> Maker:
    """Adds rows to every campaign's checklist, in the order of the calls."""
    _makers.append(maker)
    return maker


class Checked:
    """A campaign with what several rows need of it, asked for once."""

    def __init__(self, campaign: "Campaign") -> None:
        self.campaign = campaign

    @cached_property
    def systems(self) -> list["CampaignSystem"]:
        return self.campaign.ordered_systems

    @cached_property
    def has_human(self) -> bool:
        return any(place.system.kind == System.Kind.HUMAN for place in self.systems)

    @cached_property
    def matching(self) -> int:
        from annotations.design import candidates

        return len(candidates(self.campaign, needs_reference=self.has_human))


def rows(campaign: "Campaign") -> list[Row]:
    """All rows, always in the same order."""
    checked = Checked(campaign)
    return [row for maker in _makers for row in maker(checked)]


def missing(campaign: "Campaign", arrow: str) -> list[Row]:
    """The rows that hold up an arrow ("generate" or "open")."""
    return [row for row in rows(campaign) if not row.ready and arrow in row.blocks]


@add
def sample(checked: Checked) -> Iterable[Row]:
    campaign = checked.campaign
    if campaign.status != "draft":
        drawn = campaign.campaigncontext_set.count()
        topics = len(campaign.frame.get("strata", []))
        sentence = f"{drawn} contexts of {campaign.frame.get('matching', '?')} matching threads, {topics} topics, seed {campaign.seed}"
        yield Row("sample", "Sample", drawn > 0, sentence, ("generate", "open"), "sample")
        return
    enough = checked.matching >= campaign.threads
    sentence = f"{campaign.threads} of {checked.matching} matching threads, seed {campaign.seed}"
    if not enough:
        sentence = (
            f"{campaign.threads} threads are wanted and {checked.matching} of {campaign.corpus} match. "
            "Ask for fewer, widen min_posts and max_posts, or import more."
        )
    yield Row("sample", "Sample", enough, sentence, ("generate", "open"), "sample")


@add
def systems(checked: Checked) -> Iterable[Row]:
    from annotations.design import pairs_of

    names = [place.system.name for place in checked.systems]
    if len(names) < 2:
        sentence = (
            f"A side-by-side study needs two systems, and there {'is 1' if names else 'are 0'}. Add systems."
        )
        yield Row("systems", "Systems", False, sentence, ("generate", "open"), "systems")
        return
    try:
        pairs_of(checked.campaign.pairs, names)
    except ValueError as fault:
        yield Row("systems", "Systems", False, f"Pairs: {fault}", ("generate", "open"), "design")
        return
    unready = [told for place in checked.systems if (told := model_fault(place.system))]
    yield Row(
        "systems",
        "Systems",
        not unready,
        " ".join(unready) if unready else ", ".join(names),
        ("generate",) if unready else (),
        "systems",
    )


def model_fault(system: System) -> str | None:
    """Why a system cannot write here; None when it can, as far as can be seen without loading it."""
    if system.kind == System.Kind.HUMAN:
        return None
    if system.kind != System.Kind.TRANSFORMERS:
        return f"{system.name}: systems of the kind {system.kind} cannot be used in this version yet."
    if system.prompt != System.Prompt.THREAD:
        return f'{system.name}: only prompt = "thread" can be used in this version.'
    try:
        find_model(system.model, [Path(folder) for folder in settings.MODEL_DIRS])
    except EngineFault as wrong:
        folders = ", ".join(str(folder) for folder in settings.MODEL_DIRS)
        return f"{system.name}: {wrong} Models here lie in {folders}."
    return None


@add
def design(checked: Checked) -> Iterable[Row]:
    campaign = checked.campaign
    criteria = list(campaign.criteria.all())
    faults = []
    if campaign.design != "side-by-side":
        faults.append('Only design = "side-by-side" can be shown in this version.')
    if not criteria:
        faults.append("There is no criterion to judge by. Add one.")
    for criterion in criteria:
        if not SCALES[criterion.scale].is_preference:
            faults.append(f"{criterion.key}: only preference scales can be shown in this version.")
        for language in campaign.languages:
            if not criterion.question_in(language):
                faults.append(f"{criterion.key} has no question in {language}. Write it.")
    if campaign.quality:
        faults.append(
            "Training, controls and repeats are described, but cannot be carried out in this version."
        )
    said = f"side by side, {', '.join(f'{c.key} ({c.scale})' for c in criteria)}"
    yield Row("design", "Design", not faults, " ".join(faults) or said, ("generate", "open"), "design")


@add
def annotators(checked: Checked) -> Iterable[Row]:
    from annotations.design import items_per_context, people_faults

    campaign = checked.campaign
    faults = []
    said = f"{campaign.expected_annotators} expected, {campaign.annotators_per_item} per item"
    if campaign.access not in ("links", "open"):
        faults.append(
            f'access.mode = "{campaign.access}" cannot be used in this version; use "links" or "open".'
        )
    try:
        per_context = items_per_context(campaign, checked.systems)
    except ValueError:
        per_context = 0
    if per_context:
        contexts = campaign.threads * campaign.contexts_per_thread
        faults += [fault.sentence for fault in people_faults(campaign, per_context, contexts)]
        judgings = per_context * contexts * campaign.annotators_per_item
        each = -(-judgings // campaign.expected_annotators)
        said += f", {judgings} judgings in all, about {each} each"
    yield Row(
        "annotators", "Annotators", not faults, " ".join(faults) or said, ("generate", "open"), "annotators"
    )


@add
def replies(checked: Checked) -> Iterable[Row]:
    campaign = checked.campaign
    if campaign.order is None:
        return
    progress = campaign.order.progress()
    if progress.left:
        yield Row("replies", "Replies", False, f"{progress.done} of {progress.total} are written.", ("open",))
        return
    failed = progress.counts[Reply.Status.FAILED]
    sentence = f"{progress.counts[Reply.Status.WRITTEN]} written"
    flagged = sum(1 for selection in campaign.selections.select_related("reply") if selection.reply.screening)
    sentence += f", {flagged} of them with a note of the screening" if flagged else ""
    if failed:
        why = (
            campaign.order.replies()
            .filter(status=Reply.Status.FAILED)
            .values_list("last_error", flat=True)
            .first()
        )
        sentence += f"; {failed} could not be written and their items are left out: {why}"
    yield Row("replies", "Replies", True, sentence)


@add
def items(checked: Checked) -> Iterable[Row]:
    campaign = checked.campaign
    if campaign.status not in ("review", "open", "paused", "closed", "archived"):
        return
    job = campaign.preparing
    if job is None or job.status in (Job.Status.WAITING, Job.Status.RUNNING):
        share = f" {job.done} of {job.total}" if job and job.total else ""
        yield Row("items", "Items", False, f"The items are being prepared.{share}", ("open",))
    elif job.status == Job.Status.FAILED:
        yield Row("items", "Items", False, f"The items could not be prepared: {job.error}", ("open",))
    else:
        count = campaign.items.count()
        left_out = campaign.frame.get("left_out", 0)
        sentence = f"{count} items" + (f", {left_out} left out for want of a reply" if left_out else "")
        sentence = sentence if count else "No item could be made: there are no two replies to any context."
        yield Row("items", "Items", count > 0, sentence, ("open",))


@add
def consent(checked: Checked) -> Iterable[Row]:
    campaign = checked.campaign
    texts = campaign.consent.get("text", {})
    names = {"sv": "Swedish", "en": "English"}
    lacking = [language for language in campaign.languages if not str(texts.get(language, "")).strip()]
    sentence = f"version {campaign.consent.get('version', '1')}, in {', '.join(campaign.languages)}"
    if lacking:
        told = " and ".join(names.get(language, language) for language in lacking)
        sentence = f"The {told} text is missing."
    yield Row("consent", "Consent", not lacking, sentence, ("open",), "consent")


@add
def plan(checked: Checked) -> Iterable[Row]:
    primary = checked.campaign.plan.get("primary") or []
    sentence = "; ".join(f"{a} against {b} in {criterion}" for a, b, criterion in primary)
    yield Row(
        "plan",
        "Plan",
        bool(primary),
        f"primary: {sentence}" if primary else "The primary comparison is not declared.",
        ("open",),
        "plan",
    )
