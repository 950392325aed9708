"""Which of two systems is preferred, how surely, and whether the side or single annotators decide it.

One cell is one criterion and one pair of systems, system_a < system_b. Every rate is that of system_a; y is 1
where it won, .5 for a tie and 0 where it lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped,unused-ignore]

from analysis.crossed import Codes, Estimate, Floats, influence_interval, score_interval
from analysis.errors import CannotCompute, NoUntiedJudgements, OneSideOnly

LEAST_LEFT, MOST_LEFT = 0.45, 0.55
"""Outside these shares of A on the left, the rate is also given adjusted for the side."""


@dataclass(frozen=True, slots=True)
class Preference:
    """One cell: counts, the win rate of system_a with ties as half, and what qualifies it.

    `no_ties` is the rate among decided judgements (null where all are ties); `side_adjusted` is given only
    where A stood left in under 45% or over 55%. `equivalent` is true where the 90% interval lies within the
    margin of one half, false where that is undecided, null where there is no interval. `annotator_sd` is the
    annotators' spread around the rate beyond chance, in win rate.
    """

    wins: int
    ties: int
    losses: int
    rate: Estimate
    no_ties: Estimate | None
    side_adjusted: Estimate | None
    equivalent: bool | None
    annotator_sd: float | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The win rate if every missing judgement had gone against A (`low`) or for A (`high`)."""

    missing: int
    low: float
    high: float


def compare(
    y: ArrayLike,
    thread: ArrayLike,
    annotator: ArrayLike,
    a_left: ArrayLike | None = None,
    *,
    margin: float = 0.10,
) -> Preference:
    """Everything the report says about one cell.

    y: 1, .5 or 0 per judgement; a_left: 1 where A stood left, 0 where right, -1 unknown; margin: of equivalence,
    in win rate. Raises NoJudgements on empty input.
    """
    values = np.asarray(y, dtype=np.float64)
    rate = score_interval(values, thread, annotator)
    return Preference(
        wins=int((values == 1).sum()),
        ties=int((values == 0.5).sum()),
        losses=int((values == 0).sum()),
        rate=rate,
        no_ties=_or_none(rate_without_ties, values, thread, annotator),
        side_adjusted=_side_adjusted(values, thread, annotator, a_left),
        equivalent=is_equivalent(rate, margin),
        annotator_sd=None if rate.va is None else math.sqrt(rate.va),
    )


def rate_without_ties(y: ArrayLike, thread: ArrayLike, annotator: ArrayLike) -> Estimate:
    """A's share of the decided judgements, with interval only (its test is that of the rate with ties).

    Influence values: with D = wins + losses, g = N/D (win - w') on decided rows and 0 on ties.
    Raises NoUntiedJudgements where all are ties.
    """
    values = np.asarray(y, dtype=np.float64)
    decided = values != 0.5
    count = int(decided.sum())
    if count == 0:
        raise NoUntiedJudgements
    rate = float(values[decided].mean())
    g = np.where(decided, (values - rate) * (len(values) / count), 0.0)
    return influence_interval(g, rate, thread, annotator, null=None, clip=(0, 1))


def rate_adjusted_for_side(
    y: ArrayLike, thread: ArrayLike, annotator: ArrayLike, a_left: ArrayLike
) -> Estimate:
    """The mean of A's rate when left and A's rate when right: what even sides would have given.

    Influence values: g = N/(2 n_L) (y - m_L) on left rows, N/(2 n_R) (y - m_R) on right rows.
    Raises OneSideOnly where A never stood on one of the sides.
    """
    values, left = np.asarray(y, dtype=np.float64), np.asarray(a_left) == 1
    on_left, on_right = int(left.sum()), int((~left).sum())
    if on_left == 0 or on_right == 0:
        raise OneSideOnly
    when_left, when_right = float(values[left].mean()), float(values[~left].mean())
    half = len(values) / 2
    g = np.where(left, (values - when_left) * (half / on_left), (values - when_right) * (half / on_right))
    return influence_interval(g, (when_left + when_right) / 2, thread, annotator, null=None, clip=(0, 1))


def left_rate(y: ArrayLike, thread: ArrayLike, annotator: ArrayLike, a_left: ArrayLike) -> Estimate:
    """How often the left reply won, ties as half, whichever system it was; all sides must be known."""
    values = np.asarray(y, dtype=np.float64)
    return score_interval(np.where(np.asarray(a_left) == 1, values, 1 - values), thread, annotator)


def is_equivalent(rate: Estimate, margin: float) -> bool | None:
    """Whether the 90% score interval lies within one half +- margin (two one-sided tests at 5%)."""
    interval = rate.interval(0.90)
    if interval is None:
        return None
    low, high = interval
    return low >= 0.5 - margin and high <= 0.5 + margin


def annotator_rates(y: ArrayLike, annotator: ArrayLike) -> list[tuple[int, int, float]]:
    """Each annotator's own rate: (annotator code, judgements, rate), by code. annotator: codes from 0."""
    codes: Codes = np.asarray(annotator, dtype=np.int64)
    counts = np.bincount(codes)
    sums: Floats = np.asarray(np.bincount(codes, weights=np.asarray(y, dtype=np.float64)), dtype=np.float64)
    return [(int(k), int(counts[k]), float(sums[k] / counts[k])) for k in np.flatnonzero(counts)]


def bounds(y: ArrayLike, missing: int) -> Bounds:
    """How far the win rate could move through the `missing` planned judgements that do not count."""
    values = np.asarray(y, dtype=np.float64)
    if missing < 0:
        raise ValueError(f"{missing} judgements cannot be missing")
    planned = len(values) + missing
    if planned == 0:
        raise ValueError("no judgement was planned")
    points = float(values.sum())
    return Bounds(missing=missing, low=points / planned, high=(points + missing) / planned)


def first_attempts(y: ArrayLike, redrawn_a: ArrayLike, redrawn_b: ArrayLike) -> Floats:
    """y with every redrawn reply counted as a loss of its first attempt (both redrawn: a tie)."""
    values = np.asarray(y, dtype=np.float64)
    lost_a, lost_b = np.asarray(redrawn_a, dtype=bool), np.asarray(redrawn_b, dtype=bool)
    return np.where(lost_a | lost_b, 0.5 + (lost_b / 2.0) - (lost_a / 2.0), values)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p over a declared family.

    A test that could not be computed stays null and still counts as one of the family: that is what was
    declared, and it keeps the others honest.
    """
    if not p:
        return []
    adjusted = multipletests([1.0 if value is None else value for value in p], method="holm")[1]
    return [None if value is None else float(a) for value, a in zip(p, adjusted, strict=True)]


def _side_adjusted(
    y: Floats, thread: ArrayLike, annotator: ArrayLike, a_left: ArrayLike | None
) -> Estimate | None:
    if a_left is None:
        return None
    left = np.asarray(a_left)
    if (left < 0).any() or LEAST_LEFT <= float((left == 1).mean()) <= MOST_LEFT:
        return None
    return _or_none(rate_adjusted_for_side, y, thread, annotator, left)


def _or_none(statistic: Callable[..., Estimate], *args: ArrayLike) -> Estimate | None:
    try:
        return statistic(*args)
    except CannotCompute:
        return None
