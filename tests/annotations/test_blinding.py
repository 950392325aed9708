"""Invariant 1: nothing that reaches an annotator's browser depends on which system wrote a reply."""

import re
from contextlib import contextmanager

import pytest
from django.db import transaction
from django.test import Client

from annotations.links import path_for
from annotations.models import Assignment, Item
from generation.models import Reply, System
from tests import making

pytestmark = pytest.mark.django_db

TEXTS = {"human": "WORDS-OF-H.", "alpha": "WORDS-OF-A.", "beta": "WORDS-OF-B."}
JSON, HTMX = {"HTTP_ACCEPT": "application/json"}, {"HTTP_HX_REQUEST": "true"}

MASKS = [
    (rb'(name="csrfmiddlewaretoken" value=")[^"]*', rb"\1CSRF"),
    (rb'(name="submit_id" value=")[^"]*', rb"\1SUBMIT"),
    (rb'(name="token" value=")[^"]*', rb"\1TOKEN"),
    (rb"(\?show=)[0-9a-f]{32}", rb"\1TOKEN"),
]


def masked(response):
    """All that a browser gets, with what may differ by chance taken out."""
    body = response.content
    for pattern, put in MASKS:
        body = re.sub(pattern, put, body)
    headers = {name: value for name, value in response.headers.items() if name != "Date"}
    return response.status_code, headers, sorted(response.cookies), body


def without_texts(told):
    """For the swap: the replies' words and the length go, too."""
    status, headers, cookies, body = told
    headers = {name: value for name, value in headers.items() if name != "Content-Length"}
    return status, headers, cookies, re.sub(rb"WORDS-OF-[HAB]\.", b"WORDS", body)


def walk(person):
    """Everything that one annotator can come across, from the front page to the thanks."""
    campaign = person.campaign
    browser = Client()
    here = f"/rate/{campaign.slug}/"
    told = [
        browser.get("/"),
        browser.get(f"/join/{campaign.slug}/"),
        browser.get(here),
        browser.get(path_for(person)),
        browser.post(path_for(person)),
        browser.get(here + "instructions"),
        browser.get(here),
    ]

    def sent():
        page = told[-1].content.decode()
        return {
            name: re.search(rf'name="{name}" value="([^"]*)"', page)[1] for name in ("token", "submit_id")
        }

    form = sent()
    told += [
        browser.post(here + "draft", form | {"answer-informativeness": "right"}, **JSON),
        browser.post(here, form),
        browser.post(here, form | {"answer-human_likeness": "purple"}),
        browser.post(here, form | {"token": "0" * 32}),
        browser.get(here + "skip"),
        browser.get(here + "report"),
        browser.post(here + "report", {"token": form["token"], "reason": "reveals"}, **HTMX),
        browser.get(here + "pause"),
        browser.post(here + "skip", {"token": form["token"], "reason": "known"}, **HTMX),
    ]
    for n in range(20):
        if b'name="submit_id"' not in told[-1].content:
            break
        form = sent() | {"answer-human_likeness": "left", "answer-informativeness": "equal", "seconds": "30"}
        kind = (HTMX, {}, JSON)[n % 3]
        told.append(browser.post(here, form, **kind))
        if kind is HTMX:
            told.append(browser.post(here, form | {"submit_id": "quite-another"}, **HTMX))
        else:
            told.append(browser.get(here))
    assert b"Thank you" in told[-1].content
    return told


@contextmanager
def undone():
    """Lets something happen and takes it back, so that it can happen again under the same numbers."""
    point = transaction.savepoint()
    yield
    transaction.savepoint_rollback(point)


@pytest.fixture
def study(make_campaign):
    return make_campaign(texts=TEXTS, instructions={"en": "Read both."})


def test_renaming_the_systems_changes_no_byte(study):
    person = making.participation(study)
    with undone():
        before = [masked(response) for response in walk(person)]
    for system, name in zip(System.objects.order_by("pk"), ("zulu", "human", "aardvark"), strict=True):
        System.objects.filter(pk=system.pk).update(name=name)

    with undone():
        after = [masked(response) for response in walk(person)]

    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert one == other


def test_exchanging_two_systems_replies_changes_only_the_words(study):
    person = making.participation(study)
    with undone():
        before = [without_texts(masked(response)) for response in walk(person)]
    alpha, beta = System.objects.get(name="alpha"), System.objects.get(name="beta")
    for context in study.contexts.all():
        one = Reply.objects.get(context=context, system=alpha)
        other = Reply.objects.get(context=context, system=beta)
        one.text, one.items, other.text, other.items = other.text, other.items, one.text, one.items
        one.save()
        other.save()

    with undone():
        after = [without_texts(masked(response)) for response in walk(person)]

    for one, other in zip(before, after, strict=True):
        assert one == other


def test_no_page_names_a_system_a_model_a_fingerprint_or_a_reply(study):
    names = [
        "alpha",
        "beta",
        "path:alpha",
        "transformers",
        *System.objects.values_list("fingerprint", flat=True),
    ]
    names += [f"reply-{pk}" for pk in Reply.objects.values_list("pk", flat=True)]

    for response in walk(making.participation(study)):
        seen = (response.content + repr(sorted(response.headers.items())).encode()).decode().lower()
        for name in names:
            assert name.lower() not in seen


def test_the_person_behind_the_reference_is_not_shown(make_campaign):
    study = make_campaign(texts=TEXTS, posts=4)
    # The reference is the last post, by user0; the shown posts are by user0, user1 and user2.
    for thread in study.corpus.threads.all():
        thread.posts[-1]["username"] = "the-real-author"
        thread.save()
    Reply.objects.update(by_user="a-made-up-author")

    for response in walk(making.participation(study)):
        assert b"-author" not in response.content


def test_the_order_of_items_and_their_sides_come_from_places_not_names(make_campaign):
    """The same design with the names exchanged gives the same items in the same order, on the same sides."""

    def design(names):
        study = make_campaign(names=names, corpus=corpus, threads=4)
        place = {row.system_id: row.position for row in study.campaignsystem_set.all()}
        return [
            (
                item.context.thread.title,
                place[item.reply_a.system_id],
                place[item.reply_b.system_id],
                [slot.left for slot in item.slots.order_by("number")],
            )
            for item in Item.objects.filter(campaign=study)
            .select_related("context__thread", "reply_a", "reply_b")
            .order_by("position")
        ]

    corpus = making.corpus(threads=4)

    assert design(("human", "alpha", "beta")) == design(("zulu", "human", "aardvark"))


def test_tokens_tell_nothing(study):
    """Random, of equal form, and unlike anything that the database counts."""
    for _ in range(3):
        walk(making.participation(study))

    tokens = list(Assignment.objects.values_list("token", flat=True))

    assert len(set(tokens)) == len(tokens) > 9
    assert all(re.fullmatch(r"[0-9a-f]{32}", token) for token in tokens)


def test_both_replies_come_out_of_one_template(study):
    person = making.participation(study)
    browser = Client()
    browser.post(path_for(person))

    html = browser.get(f"/rate/{study.slug}/").content.decode()

    left, right = re.findall(r'<section class="reply".*?</section>', html, re.DOTALL)
    same = left.replace("reply-a", "reply-b").replace("name-a", "name-b").replace("Reply A", "Reply B")
    assert re.sub("WORDS-OF-.", "", same) == re.sub("WORDS-OF-.", "", right)
