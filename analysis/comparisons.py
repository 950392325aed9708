"""One pair of systems under one criterion as a report tells it: first over second, the human reference second. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from analysis.numbers import NONE, as_as, p_says, percent, percent_interval

Row = Mapping[str, Any]
Rate = tuple[float | None, float | None, float | None]
"""Estimate, low, high."""

SCOPES = {
    "population": "new threads, new annotators",
    "these_annotators": "new threads, these annotators",
}
SCOPES_IN_FULL = {
    "population": "new threads like these, judged by new annotators like these",
    "these_annotators": "new threads like these, judged by these annotators; it says nothing about others",
}
TESTS = {"crossed": "threads and annotators", "threads": "threads", "annotators": "annotators"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A `preferences` row of results.json with its bounds, turned so that the reference comes second."""

    criterion: str
    first: str
    second: str
    wins: int
    ties: int
    losses: int
    rate: Rate
    no_ties: Rate
    side_adjusted: Rate
    bounds: tuple[float, float] | None
    missing: int
    row: Row
    primary: bool

    @property
    def pair(self) -> str:
        return f"{self.first} over {self.second}"

    @property
    def judgements(self) -> int:
        return self.wins + self.ties + self.losses

    @property
    def has_interval(self) -> bool:
        return self.rate[1] is not None

    @property
    def direction(self) -> str:
        """Which way the interval points, in words."""
        _, low, high = self.rate
        if low is None or high is None:
            return "counts only"
        if low <= 0.5 <= high:
            return "no clear difference"
        return "more often than not" if low > 0.5 else "less often than not"

    def shown(self, alpha: float) -> bool:
        """Whether a difference is shown, all tests of the family considered."""
        p: float | None = self.row["p_adjusted"]
        return p is not None and p < alpha

    def claim(self, alpha: float, margin: float) -> str:
        """What may be said of this pair, in a sentence to copy."""
        chosen = f"{self.first} was chosen over {self.second} in {percent(self.rate[0])} of {self.judgements} judgements"
        if not self.has_interval:
            return f"{chosen}, ties as half; no interval, so nothing beyond these judgements. {self.row['reason']}"
        p, adjusted = self.row["p"], self.row["p_adjusted"]
        tested = (
            f"{p_says(adjusted, alpha)} after Holm"
            if adjusted is not None
            else f"{p_says(p, alpha)}, not adjusted"
        )
        numbers = f"{chosen}, ties as half (95% interval {percent_interval(*self.rate[1:])}; {tested})"
        scope = SCOPES_IN_FULL[self.row["scope"]]
        if self.shown(alpha):
            small = f", if one within {margin * 100:g} points" if self.row["equivalent"] else ""
            return f"{numbers}. That is a difference{small}, for {scope}."
        if self.row["equivalent"]:
            return f"{numbers}. No difference is shown, and {self.first} is {as_as(self.criterion)} {self.second} within {margin * 100:g} points, for {scope}."
        if self.direction != "no clear difference" and adjusted is None:
            return f"{numbers}. Taken alone the interval leaves out 50%; the pair is not in the declared family of tests, so no difference is claimed."
        if self.direction != "no clear difference":
            return f"{numbers}. Taken alone the interval leaves out 50%; among all tests of the family no difference is shown."
        return f"{numbers}. No difference is shown, and none is ruled out."


def comparisons(results: Mapping[str, Any], criterion: str) -> tuple[Comparison, ...]:
    """All pairs of a criterion: those with the reference first, the highest rate on top, as in the plot."""
    settings = results["settings"]
    reference = settings.get("reference")
    bounds = {_key(row): row for row in results["bounds"]}
    primary = {(c, *sorted((a, b))) for a, b, c in settings["primary"]}
    found = [
        _turned(row, bounds.get(_key(row)), reference, _key(row) in primary)
        for row in results["preferences"]
        if row["criterion"] == criterion
    ]
    return tuple(sorted(found, key=lambda each: (each.second != reference, -(each.rate[0] or 0), each.pair)))


def unjudged(results: Mapping[str, Any]) -> list[Row]:
    """Pairs that were planned and never judged: bounds without a preference."""
    judged = {_key(row) for row in results["preferences"]}
    return [row for row in results["bounds"] if _key(row) not in judged]


def _key(row: Row) -> tuple[str, str, str]:
    return row["criterion"], row["system_a"], row["system_b"]


def _turned(row: Row, bounds: Row | None, reference: str | None, primary: bool) -> Comparison:
    turn = row["system_a"] == reference
    first, second = ("system_b", "system_a") if turn else ("system_a", "system_b")
    wins, losses = ("wins_b", "wins_a") if turn else ("wins_a", "wins_b")

    def rate(estimate: str, low: str, high: str) -> Rate:
        values = row[estimate], row[low], row[high]
        if not turn:
            return values
        flipped = [None if value is None else 1 - value for value in values]
        return flipped[0], flipped[2], flipped[1]

    ends = None
    if bounds is not None:
        ends = (1 - bounds["high"], 1 - bounds["low"]) if turn else (bounds["low"], bounds["high"])
    return Comparison(
        criterion=row["criterion"],
        first=row[first],
        second=row[second],
        wins=row[wins],
        ties=row["ties"],
        losses=row[losses],
        rate=rate("win_rate", "low", "high"),
        no_ties=rate("win_rate_no_ties", "low_no_ties", "high_no_ties"),
        side_adjusted=rate("win_rate_side_adjusted", "low_side_adjusted", "high_side_adjusted"),
        bounds=ends,
        missing=0 if bounds is None else bounds["missing"],
        row=row,
        primary=primary,
    )


def with_interval(rate: Rate) -> str:
    """30.1% [22.0 to 39.5%], or the rate alone."""
    if rate[0] is None:
        return NONE
    if rate[1] is None:
        return percent(rate[0])
    return f"{percent(rate[0])} [{percent_interval(*rate[1:])}]"


def mentioned(rows: Iterable[Comparison]) -> list[str]:
    """The scopes that occur, each once."""
    return list(dict.fromkeys(each.row["scope"] for each in rows if each.has_interval))
