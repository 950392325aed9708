"""Scripted annotators: repeatable, apart from the real study, and true to the effects they were given."""

import json

import pytest
from django.core.management import call_command

from annotations.models import Assignment, Judgement, Slot
from annotations.simulation import Effects, simulate
from generation.commands import Refusal
from tests import making

pytestmark = pytest.mark.django_db


def answers(run):
    """(who, item, criterion) -> answer."""
    rows = Judgement.objects.filter(assignment__participation__run=run)
    return {
        (who, item, criterion): value
        for who, item, criterion, value in rows.values_list(
            "assignment__participation__number", "assignment__item__position", "criterion__key", "value"
        )
    }


def test_a_run_leaves_the_real_places_whole(campaign):
    done = simulate(campaign, annotators=10, seed=1, name="dry", effects=Effects())

    assert done.judgements == 72
    assert Slot.objects.filter(run=None, free=True).count() == 36
    assert not Slot.objects.filter(run__name="dry", free=True).exists()


def test_the_same_study_with_the_same_seed_gives_the_same_answers(make_campaign):
    corpus = making.corpus(threads=12)
    twins = [make_campaign(corpus=corpus, threads=12, seed=7) for _ in range(3)]

    for twin, seed in zip(twins, (1, 1, 2), strict=True):
        simulate(twin, annotators=10, seed=seed, name="dry", effects=Effects())

    one, again, other = (answers(twin.runs.get()) for twin in twins)
    assert len(one) == 216
    assert one == again
    assert one != other


def test_a_much_stronger_system_wins_nearly_always_on_both_sides(make_campaign):
    campaign = make_campaign(names=("human", "alpha"), threads=12, expected_annotators=6)
    simulate(
        campaign, annotators=6, seed=1, name="dry",
        effects=Effects(systems={"human": 8.0}, tie=0, annotator_sd=0, thread_sd=0),
    )  # fmt: skip

    won = [
        judgement.value == ("left" if judgement.assignment.reply_left.system.name == "human" else "right")
        for judgement in Judgement.objects.all()
    ]

    assert len(won) == 72
    assert sum(won) >= 70  # exp(4) / (exp(4) + exp(-4)) = .9997 each


def test_the_share_of_ties_and_the_pull_of_the_left_side_follow_the_effects(make_campaign):
    campaign = make_campaign(
        names=("human", "alpha"), threads=40, expected_annotators=6, items_per_annotator=40
    )
    simulate(
        campaign, annotators=6, seed=3, name="dry",
        effects=Effects(tie=1.0, left=1.0, annotator_sd=0, thread_sd=0),
    )  # fmt: skip

    values = list(Judgement.objects.values_list("value", flat=True))

    # exp(.5) : 1 : exp(-.5), so left .506, equal .307, right .186; 240 answers, sd about .03.
    shares = {value: values.count(value) / len(values) for value in ("left", "equal", "right")}
    assert abs(shares["left"] - 0.506) < 0.12
    assert abs(shares["equal"] - 0.307) < 0.12


def test_simulated_people_are_told_by_their_pseudonym(campaign):
    simulate(campaign, annotators=10, seed=1, name="dry", effects=Effects())

    assert {held.participation.pseudonym[0] for held in Assignment.objects.all()} == {"S"}


def test_a_draft_cannot_be_simulated(make_campaign):
    campaign = make_campaign("draft")

    with pytest.raises(Refusal, match="Generate its replies first"):
        simulate(campaign, annotators=2, seed=1, name="dry", effects=Effects())


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("lef = 1", "lef"),
        ('left = "x"', "left"),
        ("[systems]\nhumann = 1", "systems.humann"),
        ("left = [", None),
    ],
)
def test_a_wrong_effects_file_is_refused_by_its_key(campaign, tmp_path, capsys, content, key):
    path = tmp_path / "effects.toml"
    path.write_text(content)

    with pytest.raises(SystemExit) as stopped:
        call_command(
            "simulate_annotators", campaign.slug, "--annotators", "2", "--seed", "1", "--run", "x",
            "--effects", str(path), "--json",
        )  # fmt: skip

    told = json.loads(capsys.readouterr().out)
    assert stopped.value.code == 1
    assert (told["file"], told.get("key")) == (str(path), key)
    assert not campaign.runs.exists()


def test_the_command_tells_what_was_simulated(campaign, capsys):
    call_command(
        "simulate_annotators", campaign.slug, "--annotators", "10", "--seed", "1", "--run", "dry", "--json"
    )

    assert json.loads(capsys.readouterr().out) == {"annotators": 10, "judgements": 72, "run": "dry"}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[1]", None),
        ('{"careless": 3}', "careless"),
        ('{"tie": -1}', "tie"),
        ('{"left": 1e9}', "left"),
        ('{"systems": {"a": 1e9}}', "systems.a"),
    ],
)
def test_effects_that_cannot_be_simulated_are_refused_by_their_key(tmp_path, text, key):
    (tmp_path / "effects.json").write_text(text)

    with pytest.raises(Refusal) as refusal:
        Effects.read(tmp_path / "effects.json", ["a", "b"])

    assert refusal.value.key == key


@pytest.mark.parametrize(("option", "value"), [("--run", "x" * 61), ("--seed", str(10**23))])
def test_a_run_that_the_database_cannot_hold_is_refused(campaign, capsys, option, value):
    given = {"--annotators": "1", "--seed": "1", "--run": "dry"} | {option: value}

    with pytest.raises(SystemExit) as end:
        call_command(
            "simulate_annotators", campaign.slug, *[part for pair in given.items() for part in pair], "--json"
        )

    assert end.value.code == 1
    assert json.loads(capsys.readouterr().out)["key"] == option
    assert not campaign.runs.exists()


def test_a_run_that_is_cut_short_leaves_nothing_that_looks_whole(campaign):
    def stop(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(campaign, annotators=10, seed=1, name="dry", effects=Effects(), progress=stop)

    assert not campaign.runs.exists()
    assert not Assignment.objects.exists()
    assert not Slot.objects.exclude(run=None).exists()
