"""The statistics on a million judgements, in this process."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from analysis import agreement, crossed
from tests.bench.rows import row

JUDGEMENTS, THREADS, ANNOTATORS, RUNS = 1_000_000, 20_000, 500, 3


def _median(work: Callable[[], object]) -> float:
    took = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def measure() -> list[dict[str, Any]]:
    chance = np.random.default_rng(1)
    unit = np.arange(JUDGEMENTS) // 5
    thread = unit % THREADS
    annotator = chance.integers(0, ANNOTATORS, JUDGEMENTS)
    category = chance.integers(0, 3, JUDGEMENTS)
    y = category / 2.0
    detail = f"median of {RUNS}; {JUDGEMENTS:,} judgements, {THREADS:,} threads, {ANNOTATORS} annotators"

    def alpha() -> object:
        ratings = agreement.tabulate(unit, category, thread, annotator, (0, 1, 2))
        return agreement.krippendorff_alpha(ratings)

    return [
        row(
            "crossed components",
            _median(lambda: crossed.score_interval(y, thread, annotator)),
            "s",
            1.0,
            detail,
            most=True,
        ),
        row("alpha with jackknife", _median(alpha), "s", 2.0, detail, most=True),
    ]
