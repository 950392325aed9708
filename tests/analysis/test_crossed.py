"""The crossed variance components hit their check values and keep their promises."""

import math
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from analysis.crossed import (
    Estimate,
    crossed_variance,
    influence_interval,
    score_interval,
    t_quantile,
    wilson,
)
from analysis.errors import NoJudgements, NoVariation, TooFewThreads


def made_up_campaign(keep):
    """The check table of statistics.md: y from d = (3i + 5j) mod 7 - (1 + j), 1 / .5 / 0 as d < 0 / = 0 / > 0."""
    i, j = (grid.ravel() for grid in np.meshgrid(np.arange(12), np.arange(6), indexing="ij"))
    d = (3 * i + 5 * j) % 7 - (1 + j)
    y = np.select([d < 0, d == 0], [1.0, 0.5], 0.0)
    kept = keep(i, j)
    return y[kept], i[kept], j[kept]


@st.composite
def campaigns(draw, least_threads=10, most_annotators=9):
    """(y, thread, annotator) of an unbalanced campaign, blocks with several judgements included."""
    seed = draw(st.integers(0, 2**32 - 1))
    threads = draw(st.integers(least_threads, 25))
    annotators = draw(st.integers(1, most_annotators))
    n = draw(st.integers(threads, 6 * threads))
    random = np.random.default_rng(seed)
    thread = np.concatenate([np.arange(threads), random.integers(0, threads, n - threads)])
    annotator = random.integers(0, annotators, n)
    return random.choice([0, 0.5, 1], n, p=[0.3, 0.2, 0.5]), thread, annotator


CHECKS = [
    # kept, N, rate, va, ve, V, df, low, high, p (statistics.md, "Check values")
    (lambda i, j: i >= 0, 72, 0.569444, 0.050379, 0.201010, 0.011188, 4.99986, 0.314478, 0.792232, 0.544270),
    (
        lambda i, j: (i + j) % 2 == 0,
        *(36, 0.583333, 0.056349, 0.221429, 0.015542, 6.576487, 0.304520, 0.817397, 0.532228),
    ),
    (lambda i, j: j == i % 6, 12, 0.75, None, None, 0.0125, 5, 0.422183, 0.924912, 0.110567),
]


@pytest.mark.parametrize(("keep", "n", "rate", "va", "ve", "v", "df", "low", "high", "p"), CHECKS)
def test_check_values_are_hit_to_every_printed_digit(keep, n, rate, va, ve, v, df, low, high, p):
    y, thread, annotator = made_up_campaign(keep)

    found = score_interval(y, thread, annotator)

    assert found.n == n
    assert (found.va is None, found.ve is None) == (va is None, ve is None)
    for value, expected in ((found.va, va), (found.ve, ve)):
        assert expected is None or value == pytest.approx(expected, abs=5.1e-7)
    assert found.df == pytest.approx(df, abs=5.1e-6 if n == 72 else 5.1e-7)
    assert [found.estimate, found.se**2, found.low, found.high, found.p] == pytest.approx(
        [rate, v, low, high, p], abs=5.1e-7
    )


def test_one_judgement_per_thread_compares_annotators():
    y, thread, annotator = made_up_campaign(lambda i, j: j == i % 6)

    found = score_interval(y, thread, annotator)

    assert (found.test, found.scope) == ("annotators", "population")


@pytest.mark.parametrize("seed", range(5))
def test_complete_table_gives_the_analysis_of_variance_identity(seed):
    random = np.random.default_rng(seed)
    threads, annotators = 15, 6
    table = random.normal(size=(threads, annotators)) + 3 * random.normal(size=(threads, 1))
    table += 2 * random.normal(size=(1, annotators))
    thread, annotator = np.indices(table.shape)

    found = crossed_variance(table.ravel(), thread.ravel(), annotator.ravel())

    # V = (MS_T + MS_A - MS_E)/(TA); df = V^2/(V_T^2/(T-1) + V_A^2/(A-1)) with V_T = MS_T/(TA), V_A = MS_A/(TA)
    rows, columns, all_of_it = table.mean(1), table.mean(0), table.mean()
    ms_t = annotators * ((rows - all_of_it) ** 2).sum() / (threads - 1)
    ms_a = threads * ((columns - all_of_it) ** 2).sum() / (annotators - 1)
    rest = table - rows[:, None] - columns + all_of_it
    ms_e = (rest**2).sum() / ((threads - 1) * (annotators - 1))
    v = (ms_t + ms_a - ms_e) / (threads * annotators)
    size = threads * annotators
    assert found.v == pytest.approx(v, rel=1e-12)
    assert (found.vt, found.va, found.ve) == pytest.approx(
        ((ms_t - ms_e) / annotators, (ms_a - ms_e) / threads, ms_e), rel=1e-11
    )
    assert found.df == pytest.approx(
        v**2 / ((ms_t / size) ** 2 / (threads - 1) + (ms_a / size) ** 2 / (annotators - 1)), rel=1e-12
    )


def test_few_annotators_are_spoken_of_as_these_annotators():
    y, thread, annotator = made_up_campaign(lambda i, j: j < 4)

    found = score_interval(y, thread, annotator)

    # V_T alone: T/(T-1) sum S_i^2 / N^2, df = T - 1
    sums = np.bincount(thread, weights=y - y.mean())
    assert (found.scope, found.test, found.df) == ("these_annotators", "threads", 11)
    assert found.se**2 == pytest.approx(12 / 11 * (sums @ sums) / 48**2)
    assert "these annotators" in found.scope_in_words


def test_each_annotator_with_threads_of_their_own_compares_annotators_or_threads():
    # 12 threads, 12 annotators, one judgement each but one: N - A = 1 < A/2.
    thread, annotator = np.append(np.arange(12), 0), np.append(np.arange(12), 1)
    y = np.array([1, 0, 1, 1, 0, 1, 1, 0.5, 1, 0, 1, 1, 0])

    found = crossed_variance(y, thread, annotator)

    assert found.test in ("threads", "annotators")
    assert found.v == max(found.v_threads, found.v_annotators)
    assert found.df == 11
    assert found.va is None


def test_annotators_with_one_judgement_each_compare_threads():
    thread, annotator = np.repeat(np.arange(12), 2), np.arange(24)
    y = np.tile([1, 0.5, 1, 0], 6)

    found = crossed_variance(y, thread, annotator)

    assert (found.test, found.df, found.v) == ("threads", 11, found.v_threads)


def test_sums_that_cancel_everywhere_leave_the_full_degrees_of_freedom():
    # Every thread and every annotator has as many wins as losses, so V_T = V_A = 0. SS = 60/4 = 15, and
    # ve is cut to 15/59; vt = 15/54 - 15/59, va = 15/50 - 15/59;
    # V = (vt 10 x 6^2 + va 6 x 10^2 + ve 60) / 60^2.
    thread, annotator = (grid.ravel() for grid in np.indices((10, 6)))
    y = ((thread + annotator) % 2).astype(float)

    found = crossed_variance(y, thread, annotator)

    assert found.df == 10 + 6 - 2
    assert (found.v_threads, found.v_annotators) == (0, 0)
    vt, va, ve = 15 / 54 - 15 / 59, 15 / 50 - 15 / 59, 15 / 59
    assert found.v == pytest.approx((vt * 360 + va * 600 + ve * 60) / 3600)


def test_judgements_of_one_annotator_in_one_thread_count_as_one_block():
    y, thread, annotator = made_up_campaign(lambda i, j: i >= 0)

    twice = crossed_variance(np.repeat(y, 2), np.repeat(thread, 2), np.repeat(annotator, 2))

    once = crossed_variance(y, thread, annotator)
    assert (twice.v, twice.df) == pytest.approx((once.v, once.df), rel=1e-12)
    assert (twice.n, twice.blocks) == (144, 72)


def test_nine_threads_give_counts_only():
    y, thread, annotator = made_up_campaign(lambda i, j: i < 9)

    found = score_interval(y, thread, annotator)

    assert found.estimate == y.mean()
    assert found.problem == "TooFewThreads"
    assert found.reason == "Only 9 threads; an interval needs at least 10."
    assert (found.se, found.df, found.n_eff, found.low, found.high, found.p, found.va) == (None,) * 7
    assert found.interval() is None
    with pytest.raises(TooFewThreads):
        crossed_variance(y, thread, annotator)


@pytest.mark.parametrize("value", [0, 0.1, 0.5, 1])
def test_judgements_all_alike_are_named_and_not_computed(value):
    _, thread, annotator = made_up_campaign(lambda i, j: i >= 0)

    found = score_interval(np.full(72, value), thread, annotator)

    assert found.problem == "NoVariation"
    assert found.low is None
    with pytest.raises(NoVariation):
        crossed_variance(np.full(72, value), thread, annotator)


def test_threads_that_come_out_the_same_are_not_called_judgements_that_do_not_vary():
    # Two annotators who contradict each other in every thread: 1 and 0, so every thread has one half.
    thread, annotator = np.repeat(np.arange(12), 2), np.tile(["P-01", "P-02"], 12)

    found = score_interval(np.tile([1, 0], 12), thread, annotator)

    assert (found.estimate, found.problem) == (0.5, "NoVariation")
    assert found.reason == "Every thread comes out the same, so no interval can be computed."


def test_influence_values_of_rounding_size_are_no_variation():
    _, thread, annotator = made_up_campaign(lambda i, j: i >= 0)
    noise = np.random.default_rng(1).normal(size=72) * 1e-16

    found = influence_interval(noise, 0.7, thread, annotator)

    assert found.problem == "NoVariation"


def test_influence_interval_is_symmetric_and_cut_where_asked():
    y, thread, annotator = made_up_campaign(lambda i, j: i >= 0)
    g = y - y.mean()

    plain = influence_interval(g, 0.1, thread, annotator)
    cut = influence_interval(g, 0.1, thread, annotator, null=None, clip=(0, 1))

    score = score_interval(y, thread, annotator)
    half = t_quantile(score.df) * score.se
    assert (plain.low, plain.high) == pytest.approx((0.1 - half, 0.1 + half))
    assert (plain.se, plain.df) == pytest.approx((score.se, score.df))
    assert (cut.low, cut.p) == (0, None)
    assert plain.interval(0.95) == pytest.approx((plain.low, plain.high))


@pytest.mark.parametrize("statistic", [score_interval, lambda y, t, a: influence_interval(y, 0, t, a)])
def test_bad_input_is_refused(statistic):
    with pytest.raises(NoJudgements):
        statistic([], [], [])
    with pytest.raises(ValueError, match="finite"):
        statistic([np.nan, 1], [1, 2], [1, 2])
    with pytest.raises(ValueError, match="one each"):
        statistic([0, 1], [1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="missing"):
        statistic([0, 1], [1, np.nan], [1, 2])


def test_rate_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="from 0 to 1, not 0 to 2"):
        score_interval([0, 2], [1, 2], [1, 2])


def test_wilson_interval_with_many_degrees_of_freedom_is_the_textbook_one():
    low, high = wilson(0.5, 100, 1e9)

    # n = 100, x = 50: 0.4038, 0.5962 (Newcombe 1998's method 3 by hand: (.5 + 1.9207/100) / (1 + 3.8415/100) -+ ...)
    assert (low, high) == pytest.approx((0.403832, 0.596168), abs=1e-6)


@given(campaigns())
@settings(max_examples=150, deadline=None)
def test_interval_leaves_out_one_half_exactly_when_p_is_below_five_percent(campaign):
    found = score_interval(*campaign)

    assume(found.p is not None and abs(found.p - 0.05) > 1e-9)
    assert (found.p < 0.05) == (not found.low <= 0.5 <= found.high)
    assert 0 <= found.low <= found.estimate <= found.high <= 1


@given(campaigns())
@settings(max_examples=100, deadline=None)
def test_turning_the_systems_round_mirrors_the_rate_and_keeps_p(campaign):
    y, thread, annotator = campaign

    found, turned = score_interval(y, thread, annotator), score_interval(1 - y, thread, annotator)

    assert turned.estimate == pytest.approx(1 - found.estimate)
    assert turned.reason == found.reason
    assume(found.p is not None)
    assert (turned.p, turned.df, turned.se) == pytest.approx(
        (found.p, found.df, found.se), rel=1e-6, abs=1e-12
    )
    assert (turned.low, turned.high) == pytest.approx((1 - found.high, 1 - found.low), rel=1e-6, abs=1e-9)


@given(campaigns(), st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_order_and_names_of_rows_do_not_matter(campaign, seed):
    y, thread, annotator = campaign
    order = np.random.default_rng(seed).permutation(len(y))

    found = score_interval(y, thread, annotator)
    again = score_interval(
        y[order], [f"t{99 - k}" for k in thread[order]], [f"a{k}" for k in annotator[order]]
    )

    assert_same(found, again)


@given(campaigns(), st.floats(0.01, 100))
@settings(max_examples=80, deadline=None)
def test_variance_grows_with_the_square_of_the_unit(campaign, unit):
    y, thread, annotator = campaign
    assume(score_interval(y, thread, annotator).reason is None)

    found = crossed_variance(y, thread, annotator)
    scaled = crossed_variance(unit * y + 3, thread, annotator)

    assert scaled.v == pytest.approx(unit**2 * found.v, rel=1e-6)
    assert scaled.df == pytest.approx(found.df, rel=1e-6)


@given(campaigns())
@settings(max_examples=100, deadline=None)
def test_every_number_is_finite_or_absent_with_a_reason(campaign):
    found = score_interval(*campaign)

    numbers = (found.se, found.df, found.n_eff, found.low, found.high, found.p)
    if found.reason is None:
        assert all(math.isfinite(number) for number in numbers)
        assert 1 <= found.df <= found.threads + found.annotators - 2
    else:
        assert numbers == (None,) * 6


def test_a_million_judgements_take_under_a_second():
    random = np.random.default_rng(1)
    n = 10**6
    y, thread, annotator = (
        random.choice([0, 0.5, 1], n),
        random.integers(0, 10**5, n),
        random.integers(0, 300, n),
    )

    start = time.perf_counter()
    score_interval(y, thread, annotator)

    assert time.perf_counter() - start < 1


def test_type_one_error_stays_near_five_percent_when_annotators_differ_in_taste():
    random = np.random.default_rng(20210531)
    threads, per_thread, annotators, campaigns_run = 60, 3, 10, 400
    rejected = 0

    for _ in range(campaigns_run):
        # A latent scale: thread, annotator's taste (sd .4) and noise; ties in the middle third of a unit.
        taste = 0.4 * random.normal(size=annotators)
        thread = np.repeat(np.arange(threads), per_thread)
        annotator = np.concatenate([random.permutation(annotators)[:per_thread] for _ in range(threads)])
        latent = (
            0.5 * random.normal(size=threads)[thread] + taste[annotator] + random.normal(size=len(thread))
        )
        found = score_interval(np.select([latent > 0.2, latent > -0.2], [1, 0.5], 0.0), thread, annotator)
        rejected += found.p < 0.05

    assert rejected / campaigns_run < 0.07


def assert_same(one: Estimate, other: Estimate) -> None:
    for name in ("estimate", "se", "df", "n_eff", "low", "high", "p"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6, abs=1e-12), name
    for name in ("scope", "test", "threads", "annotators", "n", "reason"):
        assert getattr(one, name) == getattr(other, name), name
