"""Intervals and tests that hold for new threads *and* new annotators: crossed variance components.

Two judgements of one thread are alike, and so are two judgements of one annotator. The variance of a mean is
therefore built from a thread part, an annotator part and a rest, by moments, which also holds in unbalanced
tables (Clark 1973; Gao & Owen 2020), with Satterthwaite's (1946) degrees of freedom. In a complete table it is
the analysis of variance identity V = (MS_T + MS_A - MS_E)/(T A) of Judd, Westfall & Kenny (2012). A rate gets
the score interval of Korn & Graubard (1998), so that its interval and its p always agree.

Everything is O(N): no resampling, no annotator x thread matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import ArrayLike, NDArray
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from analysis.errors import CannotCompute, NoJudgements, NoVariation, TooFewThreads

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Scope = Literal["population", "these_annotators"]
Test = Literal["crossed", "threads", "annotators"]

MIN_THREADS = 10
"""Under this many threads only descriptives are given."""
MAX_FIXED_ANNOTATORS = 4
"""Up to this many annotators a claim covers these annotators only."""

# Sums that cancel leave rounding behind; below this share of the sum of squares they are zero.
ROUNDING = 1e-18
RELATIVE_ROUNDING = 1e-12

SCOPES: dict[Scope, str] = {
    "population": "For new threads and new annotators like these.",
    "these_annotators": "For new threads judged by these annotators; it says nothing about others.",
}
TESTS: dict[Test, str] = {
    "crossed": "Threads and annotators both vary (crossed variance components).",
    "threads": "Only threads vary (their means are compared).",
    "annotators": "Only annotators vary (their means are compared).",
}
NO_VARIATION: dict[Test, str] = {
    "crossed": "The judgements do not vary",
    "threads": "Every thread comes out the same",
    "annotators": "Every annotator comes out the same",
}


@dataclass(frozen=True, slots=True)
class Variance:
    """How far a mean would move with other threads (and, in the wider scope, other annotators).

    `v` is the variance of the mean, `df` its degrees of freedom. `vt`, `va` and `ve` are the variance of one
    judgement that lies between threads, between annotators and in the rest (null where they cannot be told
    apart). `v_threads` and `v_annotators` are the one-way variances of the mean; `blocks` counts different
    (thread, annotator) pairs, `n` judgements.
    """

    v: float
    df: float
    vt: float | None
    va: float | None
    ve: float | None
    v_threads: float
    v_annotators: float | None
    scope: Scope
    test: Test
    threads: int
    annotators: int
    n: int
    blocks: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate with its 95% interval, its p, and for whom they hold.

    Where only the estimate can be given, `reason` says why in a sentence, `problem` names it, and every number
    about its uncertainty is null. `n_eff` (rates only) is how many independent judgements would be as sure.
    """

    estimate: float
    se: float | None
    df: float | None
    n_eff: float | None
    low: float | None
    high: float | None
    p: float | None
    scope: Scope
    test: Test | None
    threads: int
    annotators: int
    n: int
    va: float | None
    vt: float | None
    ve: float | None
    reason: str | None = None
    problem: str | None = None

    def interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """The two-sided interval at another level, or null where there is none."""
        if self.se is None or self.df is None:
            return None
        if self.n_eff is not None:
            return wilson(self.estimate, self.n_eff, self.df, level)
        half = t_quantile(self.df, level) * self.se
        return self.estimate - half, self.estimate + half

    @property
    def scope_in_words(self) -> str:
        """Whom the interval and the p speak about."""
        return SCOPES[self.scope]

    @property
    def test_in_words(self) -> str | None:
        """What was allowed to vary."""
        return None if self.test is None else TESTS[self.test]


@dataclass(frozen=True, slots=True)
class _Table:
    """Block values with their thread and annotator codes: e has mean 0, N rows, T threads, A annotators."""

    e: Floats
    thread: Codes
    annotator: Codes
    threads: int
    annotators: int


@dataclass(frozen=True, slots=True)
class _Sums:
    """The sums of the formula: n_i, r_j, S_i, R_j and SS."""

    per_thread: Floats
    per_annotator: Floats
    thread_sums: Floats
    annotator_sums: Floats
    squares: float


def score_interval(y: ArrayLike, thread: ArrayLike, annotator: ArrayLike, level: float = 0.95) -> Estimate:
    """The mean of y with a score interval and the p against one half.

    y: one value in [0, 1] per judgement (win 1, tie .5, loss 0); thread, annotator: whose it is, any hashable
    values, same length. p < 1 - level exactly when the interval leaves out .5.

    Raises NoJudgements on empty input and ValueError on values outside [0, 1]; whatever else cannot be computed
    comes back as an Estimate with a `reason`. Wilson's interval with n_eff = w(1-w)/V and Student's quantile
    (Korn & Graubard 1998).
    """
    values = _values(y)
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"a rate needs values from 0 to 1, not {values.min():g} to {values.max():g}")
    w = float(values.mean())
    try:
        found = crossed_variance(values, thread, annotator)
    except CannotCompute as error:
        return _without_interval(w, thread, annotator, error)
    n_eff = w * (1 - w) / found.v
    t = (2 * w - 1) * math.sqrt(n_eff)
    low, high = wilson(w, n_eff, found.df, level)
    return _with_interval(w, found, n_eff, low, high, two_sided_p(t, found.df))


def influence_interval(
    g: ArrayLike,
    est: float,
    thread: ArrayLike,
    annotator: ArrayLike,
    *,
    null: float | None = 0.0,
    clip: tuple[float, float] | None = None,
    level: float = 0.95,
) -> Estimate:
    """Any other estimate with the interval est +- t sqrt(V) of its influence values, and the p against `null`.

    g: one influence value per judgement, mean 0, in units of the estimate; est: the estimate itself. With
    `null=None` there is no p; `clip` cuts the interval to the range the estimate can have.

    Raises NoJudgements on empty input; whatever else cannot be computed comes back with a `reason`.
    """
    values = _values(g)
    try:
        found = crossed_variance(values, thread, annotator, scale=abs(est))
    except CannotCompute as error:
        return _without_interval(est, thread, annotator, error)
    se = math.sqrt(found.v)
    half = t_quantile(found.df, level) * se
    low, high = est - half, est + half
    if clip is not None:
        low, high = max(low, clip[0]), min(high, clip[1])
    p = None if null is None else two_sided_p((est - null) / se, found.df)
    return _with_interval(est, found, None, low, high, p)


def crossed_variance(
    values: ArrayLike, thread: ArrayLike, annotator: ArrayLike, *, scale: float = 0.0
) -> Variance:
    """The variance of the mean of `values` when threads and annotators are drawn anew, and its df.

    values, thread, annotator: one per judgement, same length. Several judgements of one annotator in one thread
    are added up first. scale: the size of the estimate, beside which values of rounding size count as zero.
    Raises TooFewThreads under ten threads and NoVariation where the variance is zero.
    """
    x = _values(values)
    raw = _table(x - x.mean(), thread, annotator)
    if raw.threads < MIN_THREADS:
        raise TooFewThreads(raw.threads)
    if float(np.ptp(x)) <= RELATIVE_ROUNDING * max(float(np.abs(x).max()), scale):
        raise NoVariation
    blocks = _add_blocks(raw)
    sums = _sums(blocks)
    nothing = ROUNDING * max(sums.squares, float(raw.e @ raw.e))
    v_threads = _one_way(sums.thread_sums, len(blocks.e), nothing)
    v_annotators = _one_way(sums.annotator_sums, len(blocks.e), nothing) if blocks.annotators > 1 else None
    components = _components(blocks, sums) if _well_crossed(blocks) else None
    v, df, scope, test = _choose(blocks, sums, v_threads, v_annotators, components)
    if v <= nothing / len(blocks.e) ** 2:
        raise NoVariation(f"{NO_VARIATION[test]}, so no interval can be computed.")
    vt, va, ve = components if components is not None else (None, None, None)
    return Variance(
        v=v,
        df=df,
        vt=vt,
        va=va,
        ve=ve,
        v_threads=v_threads,
        v_annotators=v_annotators if scope == "population" else None,
        scope=scope,
        test=test,
        threads=blocks.threads,
        annotators=blocks.annotators,
        n=len(x),
        blocks=len(blocks.e),
    )


def wilson(w: float, n_eff: float, df: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a rate w seen in n_eff judgements, with Student's quantile of df."""
    q2 = t_quantile(df, level) ** 2
    middle = (w + q2 / (2 * n_eff)) / (1 + q2 / n_eff)
    half = math.sqrt(q2 * w * (1 - w) / n_eff + (q2 / (2 * n_eff)) ** 2) / (1 + q2 / n_eff)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def t_quantile(df: float, level: float = 0.95) -> float:
    """How many standard errors a two-sided interval of this level reaches to each side."""
    return float(special.stdtrit(df, 0.5 + level / 2))


def two_sided_p(t: float, df: float) -> float:
    """The chance of a t at least this far from zero, either way."""
    return float(min(2 * special.stdtr(df, -abs(t)), 1.0))


def _choose(
    table: _Table,
    sums: _Sums,
    v_threads: float,
    v_annotators: float | None,
    components: tuple[float, float, float] | None,
) -> tuple[float, float, Scope, Test]:
    """V, df, scope and test, by the rules in their order: scope first, then hardly crossed, then crossed."""
    n, t_df, a_df = len(table.e), table.threads - 1, table.annotators - 1
    if v_annotators is None or table.annotators <= MAX_FIXED_ANNOTATORS:
        return v_threads, t_df, "these_annotators", "threads"
    if components is None:
        by_annotators = n == table.threads or (n != table.annotators and v_annotators > v_threads)
        if by_annotators:
            return v_annotators, a_df, "population", "annotators"
        return v_threads, t_df, "population", "threads"
    v = max(_combined(table, sums, components), v_threads, v_annotators)
    spread = v_threads**2 / t_df + v_annotators**2 / a_df
    df = min(max(v**2 / spread, 1.0), t_df + a_df) if spread > 0 else float(t_df + a_df)
    return v, df, "population", "crossed"


def _well_crossed(table: _Table) -> bool:
    """Whether enough threads have several annotators, and annotators several threads, to tell them apart."""
    n = len(table.e)
    if table.annotators < 2:
        return False
    return n - table.threads >= table.threads / 2 and n - table.annotators >= table.annotators / 2


def _components(table: _Table, sums: _Sums) -> tuple[float, float, float]:
    """vt, va and ve by moments of the sums within threads and within annotators (Gao & Owen 2020)."""
    n = len(table.e)
    m_t = (sums.squares - float((sums.thread_sums**2 / sums.per_thread).sum())) / (n - table.threads)
    m_a = (sums.squares - float((sums.annotator_sums**2 / sums.per_annotator).sum())) / (n - table.annotators)
    c_t = n - float((sums.per_thread**2).sum()) / n
    c_a = n - float((sums.per_annotator**2).sum()) / n
    # The divisor is positive with two threads and two annotators: a row and a column share one cell.
    ve = (m_a * c_t + m_t * c_a - sums.squares) / (c_t + c_a - n + 1)
    ve = min(max(ve, 0.0), sums.squares / (n - 1))
    return max(m_a - ve, 0.0), max(m_t - ve, 0.0), ve


def _combined(table: _Table, sums: _Sums, components: tuple[float, float, float]) -> float:
    """The variance of the mean that the three components give."""
    vt, va, ve = components
    n = len(table.e)
    threads = vt * float((sums.per_thread**2).sum())
    annotators = va * float((sums.per_annotator**2).sum())
    return (threads + annotators + ve * n) / n**2


def _one_way(group_sums: Floats, n: int, nothing: float) -> float:
    """The variance of the mean when only these groups are drawn anew."""
    squares = float(group_sums @ group_sums)
    groups = len(group_sums)
    return 0.0 if squares <= nothing else groups / (groups - 1) * squares / n**2


def _add_blocks(table: _Table) -> _Table:
    """One value per (thread, annotator): the sum of e there times blocks / N, so that the mean stays."""
    key, unique = pd.factorize(table.thread * table.annotators + table.annotator)
    if len(unique) == len(table.e):
        return table
    e = _group_sums(key, table.e) * (len(unique) / len(table.e))
    return _Table(e, unique // table.annotators, unique % table.annotators, table.threads, table.annotators)


def _sums(table: _Table) -> _Sums:
    return _Sums(
        per_thread=np.bincount(table.thread).astype(np.float64),
        per_annotator=np.bincount(table.annotator).astype(np.float64),
        thread_sums=_group_sums(table.thread, table.e),
        annotator_sums=_group_sums(table.annotator, table.e),
        squares=float(table.e @ table.e),
    )


def _group_sums(codes: Codes, e: Floats) -> Floats:
    return np.asarray(np.bincount(codes, weights=e), dtype=np.float64)


def _table(e: Floats, thread: ArrayLike, annotator: ArrayLike) -> _Table:
    (thread_codes, threads), (annotator_codes, annotators) = _codes(thread), _codes(annotator)
    if not len(e) == len(thread_codes) == len(annotator_codes):
        raise ValueError(
            f"{len(e)} values, {len(thread_codes)} threads and {len(annotator_codes)} annotators: one each is needed"
        )
    return _Table(e, thread_codes, annotator_codes, threads, annotators)


def _codes(labels: ArrayLike) -> tuple[Codes, int]:
    """Labels as 0, 1, 2 ... and how many different ones there are."""
    codes, unique = pd.factorize(np.asarray(labels))
    if len(codes) and codes.min() < 0:
        raise ValueError("a thread or annotator is missing for some judgement")
    return codes.astype(np.int64), len(unique)


def _values(values: ArrayLike) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    if x.size == 0:
        raise NoJudgements
    if not np.isfinite(x).all():
        raise ValueError("a value is not a finite number")
    return x


def _with_interval(
    estimate: float, found: Variance, n_eff: float | None, low: float, high: float, p: float | None
) -> Estimate:
    return Estimate(
        estimate=estimate,
        se=math.sqrt(found.v),
        df=float(found.df),
        n_eff=n_eff,
        low=low,
        high=high,
        p=p,
        scope=found.scope,
        test=found.test,
        threads=found.threads,
        annotators=found.annotators,
        n=found.n,
        va=found.va,
        vt=found.vt,
        ve=found.ve,
    )


def _without_interval(
    estimate: float, thread: ArrayLike, annotator: ArrayLike, error: CannotCompute
) -> Estimate:
    threads, annotators = _codes(thread)[1], _codes(annotator)[1]
    nothing: dict[str, Any] = dict.fromkeys(("se", "df", "n_eff", "low", "high", "p", "va", "vt", "ve"))
    return Estimate(
        estimate=estimate,
        **nothing,
        scope="these_annotators" if annotators <= MAX_FIXED_ANNOTATORS else "population",
        test=None,
        threads=threads,
        annotators=annotators,
        n=int(np.asarray(thread).size),
        reason=error.reason,
        problem=error.problem,
    )
