"""From claimed rows to written replies: what the generation worker does. Torch is loaded by the engine, not here."""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings

from generation.clock import database_now
from generation.engines import Decoding, DecodingFault, Engine, EngineFault, Request, Written
from generation.models import Claim, Context, Order, Reply, System
from generation.screening import Thresholds, screen
from generation.threads import (
    Item,
    Thread,
    Words,
    clean,
    items_from_json,
    items_to_json,
    items_to_text,
    prompt_text,
    reply_from_text,
    thread_from_json,
    words_for,
)

logger = logging.getLogger(__name__)

#: Rows per claim: enough for the engine to sort by length, few enough that a dead worker leaves little behind.
CLAIM = 32
#: A task works about this long and then rings again, so that others get their turn.
TASK_SECONDS = 90.0


def write_for_order(order: Order, model_key: str) -> bool:
    """Writes what `order` wants of one model, for a minute or two; True when rows are left to claim."""
    deadline = time.monotonic() + TASK_SECONDS
    wanted = order.replies().of_model(model_key)
    while time.monotonic() < deadline:
        claim = Claim.take(wanted, CLAIM)
        if not claim.replies:
            # Empty because spent rows were failed, or because nothing is left.
            if not wanted.claimable(database_now()).exists():
                return False
            continue
        write_claim(claim, model_key)
    return True


def write_claim(claim: Claim, model_key: str) -> None:
    """Writes the rows of one claim. A fault of the model fails them with its reason; any other gives them back."""
    try:
        if model_key == System.Kind.HUMAN:
            _copy_references(claim)
        else:
            _let_model_write(claim, model_key)
    except (EngineFault, DecodingFault) as fault:
        logger.error("%s: %s", model_key, fault)
        claim.fail(claim.replies, str(fault), final=True)
    except Exception as fault:
        logger.exception("writing failed")
        claim.fail(claim.replies, f"{type(fault).__name__}: {fault}", final=False)


def _copy_references(claim: Claim) -> None:
    """The human reference: the post that really came next, screened and normalised as any other."""
    for reply in claim.replies:
        reference = reply.context.reference
        if reference is None:
            claim.fail(
                [reply], "The thread ends here: there is no next post to show as the human reply.", final=True
            )
            continue
        items = items_from_json(reference["post"])
        fingerprint = settle_fingerprint(reply.system, "")
        claim.write(
            reply,
            items=items_to_json(items),
            text=items_to_text(items, words_of(reply.context)),
            by_user=reference.get("username") or "",
            finish_reason="stop",
            fingerprint=fingerprint,
            **_screened(items, "stop"),
        )


def _let_model_write(claim: Claim, model_key: str) -> None:
    with claim.kept_alive():
        engine = loaded_engine(model_key)  # half a minute, where a GGUF file has to be converted first
    requests = []
    replies, fingerprints = _of_unchanged_systems(claim, engine.fingerprint)
    for reply in replies:
        decoding = Decoding.from_table(reply.system.decoding)
        seed = seed_of(reply, decoding, fingerprints[reply.system_id])
        requests.append(Request(prompt_of(reply.context, decoding), seed, decoding))

    def store(places: Sequence[int], written: Sequence[Written]) -> None:
        for place, text in zip(places, written, strict=True):
            reply, request = replies[place], requests[place]
            _store(claim, reply, request, text, fingerprints[reply.system_id], engine.provenance)

    with claim.kept_alive():
        engine.write(requests, on_batch=store)


def _of_unchanged_systems(claim: Claim, weights: str) -> tuple[list[Reply], dict[int, str]]:
    """The claim's rows whose systems still have the weights they began with, and those systems' fingerprints.

    The rows of the others fail, with their reason, and take none of the rest down with them.
    """
    fingerprints: dict[int, str] = {}
    changed: dict[int, str] = {}
    for reply in claim.replies:
        if reply.system_id not in fingerprints and reply.system_id not in changed:
            try:
                fingerprints[reply.system_id] = settle_fingerprint(reply.system, weights)
            except EngineFault as fault:
                changed[reply.system_id] = str(fault)
    for system, reason in changed.items():
        claim.fail([reply for reply in claim.replies if reply.system_id == system], reason, final=True)
    return [reply for reply in claim.replies if reply.system_id in fingerprints], fingerprints


def _store(
    claim: Claim,
    reply: Reply,
    request: Request,
    written: Written,
    fingerprint: str,
    provenance: dict[str, Any],
) -> None:
    user, items = reply_from_text(written.text, words_of(reply.context), request.decoding.by_user)
    claim.write(
        reply,
        items=items_to_json(items),
        text=clean(written.text)[0],  # a model may write what no database can hold
        by_user=user or "",
        finish_reason=written.finish_reason,
        fingerprint=fingerprint,
        seed=request.seed,
        prompt=written.prompt_read or request.prompt,
        prompt_tokens=written.prompt_tokens,
        new_tokens=written.new_tokens,
        seconds=written.seconds,
        provenance=provenance
        | {
            "decoding": request.decoding.to_table(),
            "batch_rows": written.batch_rows,
            "prompt_truncated": written.prompt_truncated,
        },
        **_screened(items, written.finish_reason),
    )


def _screened(items: tuple[Item, ...], finish_reason: str) -> dict[str, Any]:
    thresholds = Thresholds()
    reasons = screen(items, finish_reason=finish_reason, thresholds=thresholds)
    return {"screening": [asdict(reason) for reason in reasons], "thresholds": thresholds.as_json()}


def words_of(context: Context) -> Words:
    return words_for(context.thread.corpus.language)


def prompt_of(context: Context, decoding: Decoding) -> str:
    """What a system reads: the thread up to the cut, or its last `context_size` posts."""
    thread = context.thread
    posts = context.posts[-decoding.context_size :] if decoding.context_size else context.posts
    content: Thread
    content, _ = thread_from_json({"forumTitle": thread.topic, "threadTitle": thread.title, "posts": posts})
    return prompt_text(content, words_of(context), decoding.by_user)


def seed_of(reply: Reply, decoding: Decoding, fingerprint: str) -> int:
    """Hash(decoding seed, context, system, sample, attempt): nothing of a campaign or a batch is in it."""
    parts = (decoding.seed, reply.context.content_hash, fingerprint, reply.sample, reply.attempt)
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1  # 63 bits: what a database's big integer holds


def settle_fingerprint(system: System, weights: str) -> str:
    """The system's fingerprint, kept at its first use. Weights that changed since then stop the writing."""
    fingerprint = system.fingerprint_with(weights)
    if system.fingerprint and system.fingerprint != fingerprint and system.replies.written().exists():
        raise EngineFault(
            f"{system.name}: the files of {system.model} have changed since it wrote its first replies. "
            "Put the old files back, or make a system with another name for the new ones."
        )
    if system.fingerprint != fingerprint:
        System.objects.filter(pk=system.pk).update(fingerprint=fingerprint)
        system.fingerprint = fingerprint
    return fingerprint


_engine: tuple[str, Engine] | None = None


def loaded_engine(model_key: str) -> Engine:
    """The model, kept in memory until another is asked for: weights load once per run."""
    global _engine
    if _engine is None or _engine[0] != model_key:
        _engine = None  # let go of the old weights before the new ones come
        from generation.engines.local import load

        engine = load(model_key, [Path(folder) for folder in settings.MODEL_DIRS], data_dir=settings.DATA_DIR)
        _engine = (model_key, engine)
    return _engine[1]
