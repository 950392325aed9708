"""Preferences: rates that qualify each other, equivalence, and the declared family."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.crossed import score_interval
from analysis.errors import NoUntiedJudgements, OneSideOnly
from analysis.preferences import (
    annotator_rates,
    bounds,
    compare,
    first_attempts,
    holm,
    is_equivalent,
    left_rate,
    rate_adjusted_for_side,
    rate_without_ties,
)


def campaign(seed, n=240, threads=40, annotators=8, win=0.5):
    random = np.random.default_rng(seed)
    y = random.choice([1, 0.5, 0], n, p=[0.8 * win, 0.2, 0.8 * (1 - win)])
    return y, np.arange(n) % threads, random.integers(0, annotators, n), random.integers(0, 2, n)


def test_counts_and_rates_of_a_cell():
    y, thread, annotator, _ = campaign(1)

    found = compare(y, thread, annotator)

    assert (found.wins, found.ties, found.losses) == ((y == 1).sum(), (y == 0.5).sum(), (y == 0).sum())
    assert found.rate == score_interval(y, thread, annotator)
    assert found.no_ties.estimate == pytest.approx(found.wins / (found.wins + found.losses))
    assert found.no_ties.p is None
    assert found.side_adjusted is None
    assert found.annotator_sd == pytest.approx(found.rate.va**0.5)


def test_rate_without_ties_equals_the_plain_rate_where_there_are_none():
    y, thread, annotator, _ = campaign(2)
    y = np.where(y == 0.5, 1, y)

    found = rate_without_ties(y, thread, annotator)

    rate = score_interval(y, thread, annotator)
    assert (found.estimate, found.se, found.df) == pytest.approx((rate.estimate, rate.se, rate.df))


def test_all_ties_have_no_rate_without_ties():
    _, thread, annotator, _ = campaign(1)
    ties = np.full(len(thread), 0.5)

    found = compare(ties, thread, annotator)

    assert found.no_ties is None
    assert found.rate.problem == "NoVariation"
    assert found.equivalent is None
    with pytest.raises(NoUntiedJudgements):
        rate_without_ties(ties, thread, annotator)


def test_uneven_sides_are_adjusted_for():
    # A wins 9 of 10 when left and 2 of 10 when right, but stood left in 3 of 4 judgements.
    n, threads = 240, 40
    left = (np.arange(n) % 4 < 3).astype(int)
    random = np.random.default_rng(3)
    y = (random.random(n) < np.where(left == 1, 0.9, 0.2)).astype(float)

    found = compare(y, np.arange(n) // 6 % threads, random.integers(0, 8, n), left)

    expected = (y[left == 1].mean() + y[left == 0].mean()) / 2
    assert found.side_adjusted.estimate == pytest.approx(expected)
    assert found.side_adjusted.low < expected < found.side_adjusted.high
    assert found.rate.estimate > found.side_adjusted.estimate + 0.1


@pytest.mark.parametrize(("lefts", "given"), [(44, True), (45, False), (55, False), (56, True)])
def test_side_adjustment_begins_outside_45_to_55_percent(lefts, given):
    left = np.r_[np.ones(lefts, int), np.zeros(100 - lefts, int)]
    y, thread, annotator, _ = campaign(4, n=100)

    found = compare(y, thread, annotator, left)

    assert (found.side_adjusted is not None) == given


def test_side_is_not_adjusted_where_it_is_unknown_or_always_the_same():
    y, thread, annotator, _ = campaign(5)

    unknown = compare(y, thread, annotator, np.full(len(y), -1))
    always = compare(y, thread, annotator, np.ones(len(y)))

    assert (unknown.side_adjusted, always.side_adjusted) == (None, None)
    with pytest.raises(OneSideOnly):
        rate_adjusted_for_side(y, thread, annotator, np.ones(len(y)))


def test_side_adjusted_influence_values_give_the_plain_rate_for_even_sides():
    y, thread, annotator, _ = campaign(6)
    left = np.arange(len(y)) // 40 % 2

    found = rate_adjusted_for_side(y, thread, annotator, left)

    assert found.estimate == pytest.approx(y.mean())


def test_equivalence_holds_inside_the_margin_and_is_undecided_outside():
    y, thread, annotator, _ = campaign(7, n=4000, threads=400, annotators=40)
    rate = score_interval(y, thread, annotator)

    low, high = rate.interval(0.90)

    assert rate.low < low < high < rate.high
    widest = max(0.5 - low, high - 0.5)
    assert is_equivalent(rate, widest + 1e-6) is True
    assert is_equivalent(rate, widest - 1e-6) is False


def test_left_rate_asks_which_side_won():
    # A stood left and won, right and lost, left and lost, right and won.
    y, a_left = np.array([1, 0, 0, 1.0]), np.array([1, 0, 1, 0])

    found = left_rate(y, range(4), range(4), a_left)

    # So the left reply won, won, lost, lost.
    assert found.estimate == 0.5


def test_annotator_rates_count_each_ones_own():
    found = annotator_rates([1, 0.5, 0, 1], [0, 0, 2, 2])

    assert found == [(0, 2, 0.75), (2, 2, 0.5)]


def test_bounds_give_the_missing_to_either_side():
    # 2 wins, 1 tie, 1 loss and 4 missing: (2 + .5)/8 and (2 + .5 + 4)/8
    found = bounds([1, 1, 0.5, 0], missing=4)

    assert (found.missing, found.low, found.high) == (4, 2.5 / 8, 6.5 / 8)


@pytest.mark.parametrize(("y", "missing"), [([1], -1), ([], 0)])
def test_impossible_bounds_are_refused(y, missing):
    with pytest.raises(ValueError, match=r"missing|planned"):
        bounds(y, missing)


def test_a_redrawn_reply_lost_its_first_attempt():
    y = first_attempts([1, 0, 1, 0.5], [True, False, True, False], [False, True, True, False])

    assert y.tolist() == [0, 1, 0.5, 0.5]


def test_holm_by_hand():
    # Sorted .01, .02, .04 of three: .01 x 3, .02 x 2, .04 x 1
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])


def test_holm_counts_declared_tests_that_could_not_be_computed():
    # A family of three, one without p: .01 x 3, .04 x 2
    assert holm([0.01, None, 0.04]) == [pytest.approx(0.03), None, pytest.approx(0.08)]
    assert holm([]) == []


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
@settings(max_examples=80, deadline=None)
def test_every_rate_turns_round_with_the_labels(seed, annotators):
    y, thread, annotator, left = campaign(seed, n=60, threads=12, annotators=annotators)

    found, turned = compare(y, thread, annotator, left), compare(1 - y, thread, annotator, 1 - left)

    assert (turned.wins, turned.ties, turned.losses) == (found.losses, found.ties, found.wins)
    assert turned.equivalent == found.equivalent
    for name in ("rate", "no_ties", "side_adjusted"):
        one, other = getattr(found, name), getattr(turned, name)
        assert (one is None) == (other is None)
        if one is not None:
            assert other.estimate == pytest.approx(1 - one.estimate)
            assert other.reason == one.reason
            if one.low is not None:
                assert (other.low, other.high) == pytest.approx((1 - one.high, 1 - one.low), abs=1e-8)
