"""How the numbers were made and what may be claimed from them, in words to copy. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.comparisons import SCOPES_IN_FULL, Comparison, mentioned
from analysis.numbers import count, criterion_name, listed, plural

Row = Mapping[str, Any]

CUTS = {"last": "before its last post", "random": "after a post drawn at random"}
EXCLUSIONS = {"controls": "a share of control items answered right", "max_fast": "a share of fast answers"}


def methods(results: Row, manifest: Row | None, pairs: Sequence[Comparison]) -> tuple[str, ...]:
    """The methods section, a paragraph each: material, judging, estimates, agreement, what made it."""
    settings = results["settings"]
    study = settings.get("study") or {}
    return tuple(
        " ".join(paragraph)
        for paragraph in (
            list(_material(study, manifest)),
            list(_judging(settings, study)),
            list(_estimates(settings, pairs)),
            list(_agreement(results)),
            list(_made(settings, manifest)),
        )
        if paragraph
    )


def _material(study: Row, manifest: Row | None) -> Iterator[str]:
    sample = study.get("sample")
    if not sample:
        return
    frame = (manifest or {}).get("sampling") or {}
    drawn = (
        f"{plural(frame['drawn'], 'thread')} of {count(frame['matching'])} that matched"
        if frame
        else "threads"
    )
    how = "at random"
    if sample.get("stratify_by"):
        how = f"at random within each {sample['stratify_by']}"
        how += (
            " (in proportion to its size)"
            if sample.get("allocation") == "proportional"
            else " (equally many each)"
        )
    yield f"From the corpus “{sample['corpus']}”, {drawn} were drawn {how}."
    cut = sample.get("cut", "last")
    yield (
        f"Each thread was shown up to a point {CUTS.get(str(cut)) or f'after {cut} posts'}, with "
        f"{sample.get('min_posts', 1)} to {sample.get('max_posts', 12)} posts."
    )
    systems = [_system(system) for system in study.get("systems", ())]
    if systems:
        yield f"Replies came from {listed(systems)}."


def _system(system: Row) -> str:
    if system.get("kind") == "human":
        return f"{system['name']} (the person whose post came next in the thread)"
    model = f", {system['model']}" if system.get("model") else ""
    return f"{system['name']} ({system.get('kind', '')}{model})"


def _judging(settings: Row, study: Row) -> Iterator[str]:
    counts, campaign = settings["counts"], study.get("campaign") or {}
    who = "Simulated annotators" if settings["simulated"] else "Annotators"
    yield (
        f"{who} read the thread and two replies to it, shown side by side without their authors; which one stood left "
        "changed within every item."
        if campaign
        else f"{who} compared the replies of two systems at a time."
    )
    per_item = campaign.get("annotators_per_item")
    planned = f" ({per_item} planned per item)" if per_item else ""
    yield (
        f"{plural(counts['annotators'], 'annotator')} gave {plural(counts['judgements'], 'judgement')} on "
        f"{plural(counts['items'], 'item')} from {plural(counts['threads'], 'thread')}{planned}."
    )
    scales = [f"{criterion_name(key)} ({scale})" for key, scale in settings["scales"].items()]
    yield (
        f"Questions and scales: {listed(scales)}; the exact words stand below."
        if campaign
        else f"Questions and scales: {listed(scales)}."
    )
    left = {why: n for why, n in counts["left_out"].items() if n}
    if left:
        parts = [f"{count(n)} ({why})" for why, n in left.items()]
        yield f"Rows left out: {listed(parts)}."


def _estimates(settings: Row, pairs: Sequence[Comparison]) -> Iterator[str]:
    yield (
        "The win rate is the share of judgements in which a system was chosen, ties counting as half. Its 95% "
        "interval and its p come from crossed variance components of threads and annotators: the score interval of "
        "Korn & Graubard (1998) with the effective number of judgements, and Satterthwaite's degrees of freedom "
        "(Satterthwaite 1946; Clark 1973; Judd, Westfall & Kenny 2012; Gao & Owen 2020); interval and p always agree."
    )
    for scope in mentioned(pairs):
        yield f"They hold for {SCOPES_IN_FULL[scope]}."
    if any(not pair.has_interval for pair in pairs):
        yield "Where no interval is given, the table says why."
    family = settings["family"]
    tests = len(pairs) if family == "all" else len(family)
    what = "all pairs under all questions" if family == "all" else "as declared"
    yield (
        f"p was adjusted by Holm's method over a family of {plural(tests, 'test')} ({what}) at alpha = "
        f"{settings['alpha']:g}. Intervals are 95% each and are not adjusted."
    )
    yield (
        f"Two systems count as alike where the 90% interval lies within 50 ± {settings['margin'] * 100:g}% (two "
        "one-sided tests at 5%, not adjusted)."
    )
    declared = "exclude" in (settings.get("study") or {}).get("plan", {}) or settings["counts"][
        "left_out"
    ].get("control")
    rules = [f"{EXCLUSIONS.get(key, key)} under {value:g}" for key, value in settings["exclude"].items()]
    applied = (
        listed(settings["excluded"])
        if settings["excluded"]
        else "this version does not apply it: nobody was excluded"
    )
    if rules and declared:
        yield f"Declared rule of exclusion: {listed(rules)}; {applied}."


def _agreement(results: Row) -> Iterator[str]:
    if not results["agreement"]:
        return
    level = listed(
        dict.fromkeys(row["level"] for row in results["agreement"] if row["measure"] == "krippendorff_alpha")
    )
    yield (
        f"Agreement is given as the share of equal answers, Krippendorff's alpha ({level}) and Gwet's AC1, by item, "
        "where the answer is the system chosen, not the side; intervals are jackknife intervals over threads, for "
        "these annotators."
    )


def _made(settings: Row, manifest: Row | None) -> Iterator[str]:
    versions = settings["versions"]
    others = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()) if name != "replik")
    yield f"Analysed by Replik {versions['replik']} ({others})."
    if settings.get("seed") is not None:
        yield f"Sample, sides and order come from seed {settings['seed']}."
    if manifest and manifest.get("run"):
        yield f"The run “{manifest['run']}” was simulated with seed {manifest['run_seed']}."
    if manifest and manifest.get("plan_frozen_at"):
        yield f"The plan was frozen at {manifest['plan_frozen_at']} with SHA-256 {manifest['plan_hash']}."


def limits(results: Row, pairs: Sequence[Comparison]) -> tuple[str, ...]:
    """What may not be claimed, the gravest first."""
    settings = results["settings"]
    found = []
    if settings["simulated"]:
        found.append("Anything about people or about the systems: the annotators were simulated.")
    if any(pair.row["scope"] == "these_annotators" for pair in pairs if pair.has_interval):
        found.append("Anything about other annotators: with four or fewer, results are theirs alone.")
    if any(
        pair.has_interval and not pair.shown(settings["alpha"]) and not pair.row["equivalent"]
        for pair in pairs
    ):
        found.append(
            "That two systems are equal because no difference was shown. Only the column of equivalence can say so."
        )
    found.append(
        "That the win rates of different questions, campaigns or groups of annotators can be set off against each "
        "other: they are relative to the systems that met here."
    )
    corpus = ((settings.get("study") or {}).get("sample") or {}).get("corpus")
    where = f"the corpus “{corpus}”" if corpus else "where these threads come from"
    found.append(
        f"Anything about threads unlike those of {where}: other forums, other languages, other kinds of talk."
    )
    if any(pair.criterion == "human_likeness" for pair in pairs):
        found.append(
            "That a system passes for a person in conversation: the question was which of two written replies sounds "
            "more like a person's."
        )
    return tuple(found)


def commands(results: Row, manifest: Row | None) -> tuple[str, ...]:
    """How to make the numbers again, line by line."""
    settings = results["settings"]
    if manifest is None:
        return (f"python manage.py analyse_file {settings['source']} --out report",)
    slug = manifest["campaign"]
    run = f" --run {manifest['run']}" if manifest.get("run") else ""
    return (
        "# in the site that holds the campaign",
        f"python manage.py export_campaign {slug}{run} --out {slug}-data",
        f"python manage.py analyse_campaign {slug}{run} --out {slug}-report",
        "# anywhere, from the published judgements alone (default plan, no bounds)",
        f"python manage.py analyse_file {slug}-data/preferences.csv --out {slug}-check",
    )
