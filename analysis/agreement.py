"""How far annotators agree, with intervals from leaving out one thread at a time.

The unit is an item and the value is what was answered about the *systems* (a, tie or b), never the side on the
screen: sides alternate within an item, so coding by side destroys agreement. Intervals are delete-one-thread
jackknife intervals and speak about these annotators.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import ArrayLike

from analysis.crossed import MIN_THREADS, Codes, Floats, t_quantile
from analysis.errors import (
    CannotCompute,
    FullAgreement,
    LeaveOneOutUndefined,
    NoJudgements,
    NoVariation,
    OneCategory,
    OneJudgementPerUnit,
    TooFewAnnotators,
    TooFewThreads,
)

Level = Literal["nominal", "ordinal", "interval"]
"""How different two answers are: different or not, by the answers between them, or by their distance."""
Measure = Literal["percent", "krippendorff_alpha", "gwet_ac1"]

# Differences of sums leave rounding behind: 1 - alpha below this is full agreement.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Ratings:
    """The units x categories count table: `counts[u, k]` annotators gave unit u the answer k.

    `thread[u]` is the thread of unit u (codes from 0), `values[k]` the number that stands for answer k in
    interval alpha, `annotators` how many people are behind the counts.
    """

    counts: Codes
    thread: Codes
    values: Floats
    annotators: int

    @property
    def raters(self) -> Codes:
        """How many judged each unit."""
        return np.asarray(self.counts.sum(axis=1), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Agreement:
    """One measure of agreement with its 95% jackknife interval, for these annotators.

    1 is full agreement; for alpha and AC1, 0 is what chance would give and below 0 is less than chance.
    `units` and `judgements` count what two or more annotators judged. Where there is no interval, `reason` says
    why and `low`, `high` and `se` are null (`se` of alpha is on the scale log(1 - alpha)).
    """

    measure: Measure
    level: Level
    estimate: float
    low: float | None
    high: float | None
    se: float | None
    units: int
    annotators: int
    judgements: int
    threads: int
    reason: str | None = None
    problem: str | None = None


def tabulate(
    unit: ArrayLike,
    category: ArrayLike,
    thread: ArrayLike,
    annotator: ArrayLike,
    categories: Sequence[float],
) -> Ratings:
    """Count who answered what, unit by unit.

    unit, thread, annotator: labels, one per judgement; category: the place of the answer in `categories` (the
    declared scale in its order; the numbers matter to interval alpha only). A unit lies in one thread.
    Raises NoJudgements on empty input, ValueError on an answer outside the scale.
    """
    answers = np.asarray(category, dtype=np.int64)
    if answers.size == 0:
        raise NoJudgements
    if answers.min() < 0 or answers.max() >= len(categories):
        raise ValueError(f"an answer lies outside the {len(categories)} categories of the scale")
    units, unique = pd.factorize(np.asarray(unit))
    threads, _ = pd.factorize(np.asarray(thread))
    people = len(pd.unique(np.asarray(annotator)))
    width = len(categories)
    counts = np.bincount(units * width + answers, minlength=len(unique) * width).reshape(-1, width)
    thread_of_unit = np.zeros(len(unique), dtype=np.int64)
    thread_of_unit[units] = threads
    return Ratings(counts.astype(np.int64), thread_of_unit, np.asarray(categories, dtype=np.float64), people)


def percent_agreement(ratings: Ratings) -> Agreement:
    """The share of annotator pairs who gave the same answer, averaged over units judged at least twice.

    Raises TooFewAnnotators or OneJudgementPerUnit. Gwet (2014), Handbook of Inter-Rater Reliability, p_a.
    """
    paired = _paired(ratings)
    shares = _unit_agreement(paired)
    thread, threads = _recode(paired.thread)
    total, left = _leave_out(shares, thread)
    units, units_left = _leave_out(np.ones(len(shares)), thread)
    return _with_raw_interval("percent", total / units, _ratio(left, units_left), paired, threads)


def gwet_ac1(ratings: Ratings) -> Agreement:
    """Gwet's AC1: agreement beyond chance that stays steady where one answer is common.

    Chance is sum pi_k (1 - pi_k) / (q - 1) over the q categories of the declared scale, pi_k the mean share of
    answer k over all units (units judged once included). Raises TooFewAnnotators, OneJudgementPerUnit, and
    OneCategory where the scale has fewer than two. Gwet (2008), Br. J. Math. Stat. Psychol. 61.
    """
    if ratings.counts.shape[1] < 2:
        raise OneCategory
    paired = _paired(ratings)
    judged = _keep(ratings, ratings.raters > 0)
    thread, threads = _recode(judged.thread)
    several = judged.raters > 1
    agreed, agreed_left = _leave_out(_unit_agreement(judged), thread)
    pairs, pairs_left = _leave_out(several.astype(np.float64), thread)
    chance, chance_left = _gwet_chance(judged, thread, threads)
    estimate = (agreed / pairs - chance) / (1 - chance)
    leave_outs = (_ratio(agreed_left, pairs_left) - chance_left) / (1 - chance_left)
    return _with_raw_interval("gwet_ac1", estimate, leave_outs, paired, threads)


def _gwet_chance(judged: Ratings, thread: Codes, threads: int) -> tuple[float, Floats]:
    """Chance agreement of everything, and without each thread."""
    units, units_left = _leave_out(np.ones(len(thread)), thread)
    chance, chance_left = 0.0, np.zeros(threads)
    for shares in (judged.counts / judged.raters[:, None]).T:
        total, left = _leave_out(shares, thread)
        pi, pi_left = total / units, _ratio(left, units_left)
        chance += pi * (1 - pi)
        chance_left += pi_left * (1 - pi_left)
    q = judged.counts.shape[1]
    return chance / (q - 1), chance_left / (q - 1)


def krippendorff_alpha(ratings: Ratings, level: Level = "nominal") -> Agreement:
    """Krippendorff's alpha: 1 is full agreement, 0 what chance would give, below 0 systematic disagreement.

    The interval is formed on log(1 - alpha). Where alpha is 1, or leaving out one thread makes it 1 or
    undefined, only the estimate is given. Raises TooFewAnnotators, OneJudgementPerUnit or OneCategory.
    Krippendorff (2011), Computing Krippendorff's alpha-reliability.
    """
    paired = _paired(ratings)
    thread, threads = _recode(paired.thread)
    whole, left = _leave_out_alphas(paired, thread, threads, level)
    estimate = 1 - whole
    if whole <= ROUNDING:
        return _agreement("krippendorff_alpha", level, 1.0, paired, threads, FullAgreement())
    if threads < MIN_THREADS:
        return _agreement("krippendorff_alpha", level, estimate, paired, threads, TooFewThreads(threads))
    if not (left > ROUNDING).all():
        return _agreement("krippendorff_alpha", level, estimate, paired, threads, LeaveOneOutUndefined())
    se = _jackknife_se(np.log(left))
    if se <= ROUNDING:
        return _agreement("krippendorff_alpha", level, estimate, paired, threads, NoVariation())
    half = t_quantile(threads - 1) * se
    low, high = 1 - whole * math.exp(half), 1 - whole * math.exp(-half)
    return _agreement(
        "krippendorff_alpha", level, estimate, paired, threads, None, (max(low, -1.0), high, se)
    )


def _leave_out_alphas(paired: Ratings, thread: Codes, threads: int, level: Level) -> tuple[float, Floats]:
    """1 - alpha of everything, and of everything but each thread (NaN where that is undefined)."""
    counts = paired.counts.astype(np.float64)
    used = np.flatnonzero(counts.any(axis=0))
    if len(used) < 2:
        raise OneCategory
    counts, values = counts[:, used], paired.values[used]
    sums = [_leave_out(column, thread) for column in counts.T]
    n = np.stack([np.append(left, total) for total, left in sums])
    observed, expected = np.zeros(threads + 1), np.zeros(threads + 1)
    share = 1 / (counts.sum(axis=1) - 1)
    for c, k, distance in _distances(n, values, level):
        total, left = _leave_out(counts[:, c] * counts[:, k] * share, thread)
        observed += np.append(left, total) * distance
        expected += n[c] * n[k] * distance
    # Products of counts: expected is exactly zero where only one category is left.
    ratio = _ratio((n.sum(axis=0) - 1) * observed, expected)
    return float(ratio[-1]), ratio[:-1]


def _distances(n: Floats, values: Floats, level: Level) -> Iterator[tuple[int, int, Floats]]:
    """Squared distance of every two categories c < k; the ordinal one depends on the marginals n."""
    places = np.cumsum(n, axis=0) - n / 2
    for c in range(len(n)):
        for k in range(c + 1, len(n)):
            match level:
                case "nominal":
                    yield c, k, np.ones(n.shape[1])
                case "ordinal":
                    yield c, k, (places[k] - places[c]) ** 2
                case "interval":
                    yield c, k, np.full(n.shape[1], (values[k] - values[c]) ** 2)


def _paired(ratings: Ratings) -> Ratings:
    """The units that two or more annotators judged: only they show agreement."""
    if ratings.annotators < 2:
        raise TooFewAnnotators(ratings.annotators)
    paired = _keep(ratings, ratings.raters > 1)
    if len(paired.counts) == 0:
        raise OneJudgementPerUnit
    return paired


def _keep(ratings: Ratings, units: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Ratings:
    return Ratings(ratings.counts[units], ratings.thread[units], ratings.values, ratings.annotators)


def _unit_agreement(ratings: Ratings) -> Floats:
    """The share of agreeing pairs in each unit (0 in a unit without pairs)."""
    raters = ratings.raters
    agreeing = (ratings.counts * (ratings.counts - 1)).sum(axis=1)
    return np.asarray(agreeing / np.maximum(raters * (raters - 1), 1), dtype=np.float64)


def _recode(thread: Codes) -> tuple[Codes, int]:
    """Threads that take part in the estimate, from 0, and how many."""
    codes, unique = pd.factorize(thread)
    return codes.astype(np.int64), len(unique)


def _leave_out(values: Floats, thread: Codes) -> tuple[float, Floats]:
    """The sum over all units, and that sum without each thread."""
    parts: Floats = np.asarray(np.bincount(thread, weights=values), dtype=np.float64)
    total = float(parts.sum())
    return total, total - parts


def _jackknife_se(leave_outs: Floats) -> float:
    """Root of (T-1)/T times the sum of squares of the leave-one-out values around their mean."""
    threads = len(leave_outs)
    return math.sqrt((threads - 1) / threads * float(((leave_outs - leave_outs.mean()) ** 2).sum()))


def _ratio(above: Floats, below: Floats) -> Floats:
    """above / below, NaN where below is zero: undefined without that thread."""
    out = np.full(below.shape, np.nan)
    np.divide(above, below, out=out, where=below > 0)
    return out


def _with_raw_interval(
    measure: Measure, estimate: float, leave_outs: Floats, paired: Ratings, threads: int
) -> Agreement:
    """Percent and AC1 on their own scale, cut to where they can lie."""
    if threads < MIN_THREADS:
        return _agreement(measure, "nominal", estimate, paired, threads, TooFewThreads(threads))
    if not np.isfinite(leave_outs).all():
        return _agreement(measure, "nominal", estimate, paired, threads, LeaveOneOutUndefined())
    se = _jackknife_se(leave_outs)
    if se <= ROUNDING:
        return _agreement(measure, "nominal", estimate, paired, threads, NoVariation())
    half = t_quantile(threads - 1) * se
    lowest = 0.0 if measure == "percent" else -1.0
    interval = (max(estimate - half, lowest), min(estimate + half, 1.0), se)
    return _agreement(measure, "nominal", estimate, paired, threads, None, interval)


def _agreement(
    measure: Measure,
    level: Level,
    estimate: float,
    paired: Ratings,
    threads: int,
    why_not: CannotCompute | None,
    interval: tuple[float, float, float] | None = None,
) -> Agreement:
    low, high, se = interval if interval is not None else (None, None, None)
    return Agreement(
        measure=measure,
        level=level,
        estimate=float(estimate),
        low=low,
        high=high,
        se=se,
        units=len(paired.counts),
        annotators=paired.annotators,
        judgements=int(paired.counts.sum()),
        threads=threads,
        reason=why_not.reason if why_not else None,
        problem=why_not.problem if why_not else None,
    )
