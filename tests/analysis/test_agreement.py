"""Agreement hits the published figures, the reference implementation, and says when it cannot be computed."""

import math
import time

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.agreement import gwet_ac1, krippendorff_alpha, percent_agreement, tabulate
from analysis.errors import NoJudgements, OneCategory, OneJudgementPerUnit, TooFewAnnotators

# Krippendorff (2011), "Computing Krippendorff's alpha-reliability": observers x units, . where nothing was said.
DATA_A = ["0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"]
DATA_B = ["a a b b d c c c e d d a", "b a b b b c c c e d d d"]
DATA_C = [
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
]


def ratings_of(rows, categories=None, threads=None):
    """The count table of observers x units; each unit its own thread unless said otherwise."""
    cells = [
        (unit, value, rater)
        for rater, row in enumerate(rows)
        for unit, value in enumerate(row.split() if isinstance(row, str) else row)
        if value not in (".", None)
    ]
    names = categories or sorted({value for _, value, _ in cells})
    units = [unit for unit, _, _ in cells]
    return tabulate(
        units,
        [names.index(value) for _, value, _ in cells],
        units if threads is None else [threads[unit] for unit in units],
        [rater for _, _, rater in cells],
        list(range(1, len(names) + 1)),
    )


@st.composite
def reliability_data(draw, units=st.integers(2, 20)):
    """Observers x units with gaps, as lists of small integers and None."""
    seed, columns = draw(st.integers(0, 2**32 - 1)), draw(units)
    random = np.random.default_rng(seed)
    raters, categories = draw(st.integers(2, 5)), draw(st.integers(2, 5))
    truth = random.integers(0, categories, columns)
    noise = random.integers(0, categories, (raters, columns))
    values = np.where(random.random((raters, columns)) < draw(st.floats(0, 1)), truth, noise)
    gaps = random.random((raters, columns)) < 0.25
    return [
        [None if g else int(v) for v, g in zip(*row, strict=True)] for row in zip(values, gaps, strict=True)
    ]


@pytest.mark.parametrize(
    ("data", "level", "expected"),
    [
        (DATA_A, "nominal", 0.095),
        (DATA_B, "nominal", 0.692),
        (DATA_C, "nominal", 0.743),
        (DATA_C, "ordinal", 0.815),
        (DATA_C, "interval", 0.849),
    ],
)
def test_krippendorff_2011_is_reproduced(data, level, expected):
    found = krippendorff_alpha(ratings_of(data), level)

    assert round(found.estimate, 3) == expected
    assert found.level == level


def test_gwets_example_is_reproduced():
    # 4 raters x 12 units, 5 categories (Gwet's example; the same table as Krippendorff's data C).
    ratings = ratings_of(DATA_C)

    percent, ac1, alpha = percent_agreement(ratings), gwet_ac1(ratings), krippendorff_alpha(ratings)

    assert [round(found.estimate, 3) for found in (percent, ac1, alpha)] == [0.818, 0.775, 0.743]
    assert (percent.units, percent.judgements, percent.annotators) == (11, 40, 4)


@given(reliability_data(), st.sampled_from(["nominal", "ordinal", "interval"]))
@settings(max_examples=150, deadline=None)
def test_alpha_equals_the_krippendorff_package(data, level):
    values = np.array([[np.nan if v is None else v for v in row] for row in data])
    judged_twice = values[:, (~np.isnan(values)).sum(axis=0) > 1]
    present = judged_twice[~np.isnan(judged_twice)]
    assume(len(np.unique(present)) > 1)

    found = krippendorff_alpha(ratings_of(data, categories=[0, 1, 2, 3, 4]), level)

    oracle = krippendorff.alpha(
        reliability_data=values, level_of_measurement=level, value_domain=[0, 1, 2, 3, 4]
    )
    assert found.estimate == pytest.approx(oracle, abs=1e-10)


@given(reliability_data(st.integers(10, 20)), st.permutations(range(5)))
@settings(max_examples=80, deadline=None)
def test_other_names_for_the_answers_change_nothing(data, names):
    renamed = [[None if v is None else names[v] for v in row] for row in data]

    for measure in (percent_agreement, krippendorff_alpha, gwet_ac1):
        try:
            found = measure(ratings_of(data, categories=[0, 1, 2, 3, 4]))
        except OneCategory:
            with pytest.raises(OneCategory):
                measure(ratings_of(renamed, categories=[0, 1, 2, 3, 4]))
            continue
        again = measure(ratings_of(renamed, categories=[0, 1, 2, 3, 4]))
        assert again.estimate == pytest.approx(found.estimate, abs=1e-12)
        assert again.reason == found.reason
        assert (again.low, again.high) == pytest.approx((found.low, found.high), abs=1e-9)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(3))
def test_alpha_interval_is_the_jackknife_over_threads_on_log_one_minus_alpha(level, seed):
    data, threads = random_campaign(seed)

    found = krippendorff_alpha(ratings_of(data, threads=threads), level)

    phi = [
        math.log(1 - krippendorff_alpha(ratings_of(without(data, threads, out)), level).estimate)
        for out in range(12)
    ]
    se = math.sqrt(11 / 12 * sum((value - np.mean(phi)) ** 2 for value in phi))
    half = stats.t.ppf(0.975, 11) * se
    ends = [1 - (1 - found.estimate) * math.exp(sign * half) for sign in (1, -1)]
    assert (found.se, found.threads) == (pytest.approx(se), 12)
    assert [found.low, found.high] == pytest.approx([max(ends[0], -1), ends[1]])


@pytest.mark.parametrize("measure", [percent_agreement, gwet_ac1])
def test_percent_and_ac1_intervals_are_the_jackknife_over_threads(measure):
    data, threads = random_campaign(1)

    found = measure(ratings_of(data, categories=[0, 1, 2], threads=threads))

    left = [
        measure(ratings_of(without(data, threads, out), categories=[0, 1, 2])).estimate for out in range(12)
    ]
    se = math.sqrt(11 / 12 * sum((value - np.mean(left)) ** 2 for value in left))
    half = stats.t.ppf(0.975, 11) * se
    assert found.se == pytest.approx(se)
    assert [found.low, found.high] == pytest.approx([found.estimate - half, found.estimate + half])


def test_ac1_counts_the_categories_of_the_declared_scale():
    data = [[0, 0, 1, 1], [0, 1, 1, 1]]

    two = gwet_ac1(ratings_of(data, categories=[0, 1])).estimate
    three = gwet_ac1(ratings_of(data, categories=[0, 1, 2])).estimate

    # p_a = 3/4, pi = (3/8, 5/8), sum pi (1 - pi) = 15/32: chance 15/32 for two, 15/64 for three categories.
    assert two == pytest.approx((3 / 4 - 15 / 32) / (1 - 15 / 32))
    assert three == pytest.approx((3 / 4 - 15 / 64) / (1 - 15 / 64))


def test_full_agreement_has_an_estimate_and_no_interval():
    data = [[k % 3 for k in range(12)]] * 2

    found = [measure(ratings_of(data)) for measure in (krippendorff_alpha, percent_agreement, gwet_ac1)]

    assert [one.estimate for one in found] == [1, 1, pytest.approx(1)]
    assert [(one.low, one.high, one.problem) for one in found[:2]] == [
        (None, None, "FullAgreement"),
        (None, None, "NoVariation"),
    ]
    assert all(one.reason for one in found)


def test_all_disagreement_in_one_thread_gives_no_interval():
    data = [[k % 2 for k in range(12)], [1, *(k % 2 for k in range(1, 12))]]

    found = krippendorff_alpha(ratings_of(data))

    assert found.problem == "LeaveOneOutUndefined"
    assert found.low is None


def test_second_category_in_one_thread_only_gives_no_interval():
    data = [[0] * 12, [1] + [0] * 11]

    found = krippendorff_alpha(ratings_of(data))

    assert found.problem == "LeaveOneOutUndefined"


def test_under_ten_threads_agreement_has_no_interval():
    data, _ = random_campaign(2)

    for measure in (percent_agreement, krippendorff_alpha, gwet_ac1):
        found = measure(ratings_of(data, threads=[k % 9 for k in range(24)]))
        assert found.problem == "TooFewThreads"
        assert found.low is None


def test_a_single_thread_warns_nobody():
    data, _ = random_campaign(2)

    found = [
        measure(ratings_of(data, threads=[0] * 24)).low
        for measure in (percent_agreement, krippendorff_alpha, gwet_ac1)
    ]

    assert found == [None] * 3


@pytest.mark.parametrize("measure", [percent_agreement, krippendorff_alpha, gwet_ac1])
def test_what_cannot_be_computed_is_named(measure):
    with pytest.raises(OneJudgementPerUnit, match="No item was judged by two"):
        measure(ratings_of([[0, 1, None, None], [None, None, 1, 0]]))
    with pytest.raises(TooFewAnnotators, match="Only 1 annotator;"):
        measure(ratings_of([[0, 1, 0, 1]]))


def test_one_answer_throughout_leaves_alpha_undefined_and_percent_full():
    data = [[1] * 12] * 3

    assert percent_agreement(ratings_of(data)).estimate == 1
    with pytest.raises(OneCategory):
        krippendorff_alpha(ratings_of(data))
    with pytest.raises(OneCategory):
        gwet_ac1(ratings_of(data))


def test_bad_tables_are_refused():
    with pytest.raises(NoJudgements):
        tabulate([], [], [], [], [0, 1])
    with pytest.raises(ValueError, match="outside the 2 categories"):
        tabulate([0], [2], [0], [0], [0, 1])


def test_a_million_judgements_take_under_two_seconds():
    random = np.random.default_rng(1)
    n = 10**6
    unit = random.integers(0, n // 3, n)

    start = time.perf_counter()
    ratings = tabulate(unit, random.integers(0, 5, n), unit // 3, random.integers(0, 300, n), range(5))
    krippendorff_alpha(ratings, "ordinal")

    assert time.perf_counter() - start < 2


def random_campaign(seed):
    """Three observers, 24 units in 12 threads, some gaps."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, 24)
    values = np.where(random.random((3, 24)) < 0.6, truth, random.integers(0, 3, (3, 24)))
    values[2, ::5] = -1
    data = [[None if v < 0 else int(v) for v in row] for row in values]
    return data, [unit // 2 for unit in range(24)]


def without(data, threads, out):
    return [[v for v, thread in zip(row, threads, strict=True) if thread != out] for row in data]
