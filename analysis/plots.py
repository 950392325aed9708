"""The report's plots as SVG strings that a strict content policy allows and a phone can show.

Presentation attributes and the classes of Replik's stylesheet only, so that plots follow light and dark. Names
stand above their bars: at 380 units wide, labels stay readable on a 360 px screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

Row = Mapping[str, Any]
Marker = Literal["diamond", "circle", "square", "triangle", "x", "plus"]

WIDTH = 380
LEFT, RIGHT = 18.0, 362.0
"""Where the axis begins and ends."""
ROW_HEIGHT = 46
AXIS_HEIGHT = 30
NAME_LENGTH = 26

MARKERS: tuple[Marker, ...] = ("circle", "square", "triangle", "x", "plus")
"""One for each of the five system colours, in their order."""
MEASURES = {
    "percent": "Same answer",
    "krippendorff_alpha": "Krippendorff's alpha",
    "gwet_ac1": "Gwet's AC1",
}

# XML 1.0 has no way to write these, and one of them would spoil the whole report.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture, the finding in words, and the numbers behind it (one mapping of strings a row)."""

    svg: str
    caption: str
    rows: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Bar:
    """One row of a plot: estimate and interval as parts of the axis, and what is written above them."""

    name: str
    label: str
    estimate: float | None
    low: float | None
    high: float | None
    css: str
    marker: Marker


@dataclass(frozen=True, slots=True)
class _Axis:
    """From where to where, which places have a line and a label, and which line is the reference."""

    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]
    zero: float

    def x(self, value: float) -> float:
        return LEFT + (value - self.start) / (self.end - self.start) * (RIGHT - LEFT)


@dataclass(frozen=True, slots=True)
class _Rate:
    """One comparison, turned so that it reads "first over second"."""

    first: str
    second: str
    estimate: float
    low: float | None
    high: float | None
    n: int
    reason: str | None


def win_rate_plot(
    rows: Iterable[Row],
    *,
    criterion: str,
    reference: str = "human",
    systems: Sequence[str] | None = None,
    identity: str = "win-rate",
    title: str | None = None,
) -> Plot:
    """How often each system won over the reference (or, without one, in each pair), with 95% intervals.

    rows: `preferences` rows of results.json; those of other criteria are passed over. systems: all of the
    campaign's, so that a system keeps its colour and marker from plot to plot. identity: of the elements, unique
    on the page; title: what the plot shows, for those who do not see it. Raises ValueError where there is nothing to show.
    """
    mine = [row for row in rows if row["criterion"] == criterion]
    if not mine:
        raise ValueError(f"there are no preferences under {criterion!r} to plot")
    against = [row for row in mine if reference in (row["system_a"], row["system_b"])]
    rates = [_turned(row, reference) for row in against or mine]
    rates.sort(key=lambda rate: (-rate.estimate, rate.first, rate.second))
    named = systems or sorted({row[side] for row in mine for side in ("system_a", "system_b")})
    look = _looks(named, reference)
    bars = [_rate_bar(rate, look, bool(against)) for rate in rates]
    axis = _Axis(0, 1, tuple((k / 4, f"{k * 25}%") for k in range(5)), zero=0.5)
    caption = _rate_caption(rates, reference if against else None)
    heading = title or f"{criterion}: win rates" + (f" over {reference}" if against else "")
    return Plot(_svg(bars, axis, heading, identity), caption, tuple(map(_rate_row, rates)))


def agreement_plot(
    rows: Iterable[Row], *, criterion: str, identity: str = "agreement", title: str | None = None
) -> Plot:
    """How far annotators agree under one criterion: the share of equal answers, alpha and AC1.

    rows: `agreement` rows of results.json; those of other criteria are passed over. Raises ValueError where
    there is nothing to show.
    """
    mine = [row for row in rows if row["criterion"] == criterion and row["measure"] in MEASURES]
    if not mine:
        raise ValueError(f"there is no agreement under {criterion!r} to plot")
    bars = [_agreement_bar(row) for row in mine]
    lowest = min((bar.low for bar in bars if bar.low is not None), default=0.0)
    lowest = min([lowest, *(bar.estimate for bar in bars if bar.estimate is not None)])
    axis = _agreement_axis(lowest)
    heading = title or f"{criterion}: agreement between annotators"
    return Plot(
        _svg(bars, axis, heading, identity), _agreement_caption(mine), tuple(map(_agreement_row, mine))
    )


def shortened(name: str, length: int = NAME_LENGTH) -> str:
    """A name that fits, cut in the middle since names of systems differ at their ends."""
    if len(name) <= length:
        return name
    tail = (length - 1) // 2
    return f"{name[: length - 1 - tail]}…{name[-tail:]}"


def percent_label(estimate: float, low: float | None, high: float | None) -> str:
    """44 [37, 52]: a rate in percent with its interval, or the rate alone."""
    if low is None or high is None:
        return f"{_percent(estimate)}, no interval"
    return f"{_percent(estimate)} [{_percent(low)}, {_percent(high)}]"


def _turned(row: Row, reference: str) -> _Rate:
    """The reference always comes second; other pairs stay as they are."""
    rate, low, high = row["win_rate"], row["low"], row["high"]
    first, second = row["system_a"], row["system_b"]
    if first == reference:
        first, second, rate = second, first, 1 - rate
        low, high = (None, None) if low is None or high is None else (1 - high, 1 - low)
    n = row["wins_a"] + row["wins_b"] + row["ties"]
    return _Rate(first, second, rate, low, high, n, row["reason"])


def _looks(systems: Sequence[str], reference: str) -> dict[str, tuple[str, Marker]]:
    """Class and marker of every system: five colours; with more of them colour says nothing and goes."""
    others = [name for name in systems if name != reference]
    looks: dict[str, tuple[str, Marker]] = {reference: ("sys-h", "diamond")}
    for place, name in enumerate(others):
        few = len(others) <= len(MARKERS)
        looks[name] = (f"sys-{place + 1}", MARKERS[place]) if few else ("sys-h", "circle")
    return looks


def _rate_bar(rate: _Rate, looks: Mapping[str, tuple[str, Marker]], against: bool) -> _Bar:
    css, marker = looks.get(rate.first, ("sys-h", "circle"))
    name = rate.first if against else f"{rate.first} over {rate.second}"
    label = percent_label(rate.estimate, rate.low, rate.high)
    return _Bar(name, label, rate.estimate, rate.low, rate.high, css, marker)


def _rate_caption(rates: Sequence[_Rate], reference: str | None) -> str:
    """The finding of every comparison, the first one in full."""
    sentences = [_rate_sentence(rates[0], reference)]
    sentences += [_rate_sentence(rate, reference, brief=True) for rate in rates[1:]]
    return " ".join([*sentences, "Ties count as half."])


def _rate_sentence(rate: _Rate, reference: str | None, brief: bool = False) -> str:
    second = f"the {reference} reply" if reference == "human" else rate.second
    if rate.low is None or rate.high is None:
        return (
            f"{rate.first} won {_percent(rate.estimate)}% over {second}, without an interval: {rate.reason}"
        )
    if rate.low <= 0.5 <= rate.high:
        finding = "no clear difference from even"
    else:
        finding = "more often than not" if rate.low > 0.5 else "less often than not"
    if brief:
        interval = f"{_percent(rate.estimate)}%, {_percent(rate.low)} to {_percent(rate.high)}"
        return f"{rate.first} over {second}: {finding} ({interval})."
    return (
        f"People chose {rate.first} over {second} in {_percent(rate.estimate)}% of {rate.n} judgements "
        f"(95% interval {_percent(rate.low)} to {_percent(rate.high)}): {finding}."
    )


def _rate_row(rate: _Rate) -> dict[str, str]:
    return {
        "comparison": f"{rate.first} over {rate.second}",
        "win rate": f"{rate.estimate:.1%}",
        "95% interval": _interval(rate.low, rate.high, "{:.1%}"),
        "judgements": str(rate.n),
        "note": rate.reason or "",
    }


def _agreement_bar(row: Row) -> _Bar:
    estimate, low, high = row["estimate"], row["low"], row["high"]
    return _Bar(_measure(row), _agreement_label(row), estimate, low, high, "sys-h", "circle")


def _agreement_axis(lowest: float) -> _Axis:
    """-0.2 to 1, or from -1 where something lies lower."""
    if lowest < -0.2:
        return _Axis(-1, 1, tuple((k / 2, _decimal(k / 2, 1)) for k in range(-2, 3)), zero=0)
    return _Axis(-0.2, 1, tuple((k / 5, _decimal(k / 5, 1)) for k in range(-1, 6)), zero=0)


def _agreement_caption(rows: Sequence[Row]) -> str:
    by_measure = {row["measure"]: row for row in rows}
    sentences = []
    if (row := by_measure.get("percent")) is not None and row["estimate"] is not None:
        sentences.append(
            f"Two annotators gave the same answer about the same item in {_percent(row['estimate'])}% of cases"
            f"{_in_brackets(row, percent=True)}."
        )
    if (row := by_measure.get("krippendorff_alpha")) is not None:
        sentences.append(_alpha_sentence(row))
    reasons = dict.fromkeys(row["reason"] for row in rows if row["reason"])
    return " ".join([*sentences, *reasons, "For these annotators."])


def _alpha_sentence(row: Row) -> str:
    if row["estimate"] is None:
        return "Krippendorff's alpha cannot be computed."
    sentence = (
        f"Krippendorff's alpha ({row['level']}) is {_decimal(row['estimate'])}{_in_brackets(row)}, "
        "where 1 is full agreement and 0 is chance"
    )
    if row["low"] is not None and row["low"] <= 0 <= row["high"]:
        return sentence + ": no clear agreement beyond chance."
    return sentence + "."


def _in_brackets(row: Row, percent: bool = False) -> str:
    if row["low"] is None or row["high"] is None:
        return ""
    write = _percent if percent else _decimal
    return f" (95% interval {write(row['low'])} to {write(row['high'])})"


def _agreement_label(row: Row) -> str:
    if row["estimate"] is None:
        return "cannot be computed"
    if row["measure"] == "percent":
        return percent_label(row["estimate"], row["low"], row["high"])
    if row["low"] is None or row["high"] is None:
        return f"{_decimal(row['estimate'])}, no interval"
    return f"{_decimal(row['estimate'])} [{_decimal(row['low'])}, {_decimal(row['high'])}]"


def _agreement_row(row: Row) -> dict[str, str]:
    known = row["estimate"] is not None
    return {
        "measure": _measure(row),
        "level": str(row["level"]),
        "estimate": _decimal(row["estimate"], 3) if known else "–",
        "95% interval": _interval(row["low"], row["high"], "{:.3f}"),
        "items": str(row["units"]),
        "judgements": str(row["judgements"]),
        "note": row["reason"] or "",
    }


def _measure(row: Row) -> str:
    return MEASURES[row["measure"]] + (", %" if row["measure"] == "percent" else "")


def _interval(low: float | None, high: float | None, form: str) -> str:
    if low is None or high is None:
        return "–"
    return f"{form.format(low)} to {form.format(high)}".replace("-", "−")


def _percent(value: float) -> str:
    """Whole percent; 0 and 100 only where it is exactly so, and a border of 50 stays on its side."""
    share = 100 * value
    if (0 < share < 0.5) or (99.5 <= share < 100) or (49.5 <= share <= 50.5 and share != 50):
        return f"{share:.1f}" if round(share, 1) not in (0, 50, 100) else f"{share:.3f}"
    return f"{share:.0f}"


def _decimal(value: float, digits: int = 2) -> str:
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{digits}f}"


def _svg(bars: Sequence[_Bar], axis: _Axis, heading: str, identity: str) -> str:
    """The whole picture: grid first, so that bars lie over it, and only beside bars, so that words stand clear."""
    bottom = len(bars) * ROW_HEIGHT + 4
    name = _attribute(f"{identity}-title")
    size = f'viewBox="0 0 {WIDTH} {bottom + AXIS_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" {size} role="img" aria-labelledby={name}>',
        f"<title id={name}>{_text(heading)}</title>",
        *(_grid(axis, place) for place in range(len(bars))),
        *(_tick(axis, value, label, bottom) for value, label in axis.ticks),
        *(_drawn(bar, axis, place) for place, bar in enumerate(bars)),
        "</svg>",
    ]
    return "".join(parts)


def _grid(axis: _Axis, place: int) -> str:
    """The ticks' lines beside one bar."""
    top, bottom = place * ROW_HEIGHT + 24, place * ROW_HEIGHT + ROW_HEIGHT
    lines = []
    for value, _ in axis.ticks:
        x = f"{axis.x(value):.1f}"
        css = "zero" if abs(value - axis.zero) < 1e-9 else "grid"
        lines.append(f'<line x1="{x}" x2="{x}" y1="{top}" y2="{bottom}" class="{css}"/>')
    return "".join(lines)


def _tick(axis: _Axis, value: float, label: str, bottom: int) -> str:
    x = f"{axis.x(value):.1f}"
    return f'<text x="{x}" y="{bottom + 16}" text-anchor="middle" class="axis">{_text(label)}</text>'


def _drawn(bar: _Bar, axis: _Axis, place: int) -> str:
    """Name and numbers on one line, the interval and its marker below."""
    top = place * ROW_HEIGHT
    baseline, middle = top + 18, top + 35
    short = shortened(bar.name)
    hover = f"<title>{_text(bar.name)}</title>" if short != bar.name else ""
    words = (
        f'<text x="0" y="{baseline}">{hover}{_text(short)}</text>'
        f'<text x="{WIDTH}" y="{baseline}" text-anchor="end">{_text(bar.label)}</text>'
    )
    if bar.estimate is None:
        return f"<g>{words}</g>"
    line = ""
    if bar.low is not None and bar.high is not None:
        start, end = axis.x(bar.low), axis.x(bar.high)
        line = f'<line x1="{start:.1f}" x2="{end:.1f}" y1="{middle}" y2="{middle}" class="range {bar.css}"/>'
    return f"<g>{words}{line}{_marker(bar.marker, axis.x(bar.estimate), middle, bar.css)}</g>"


def _marker(marker: Marker, x: float, y: float, css: str) -> str:
    match marker:
        case "circle":
            return f'<circle cx="{x:.1f}" cy="{y}" r="7" class="{css}"/>'
        case "square":
            return f'<rect x="{x - 6.5:.1f}" y="{y - 6.5}" width="13" height="13" class="{css}"/>'
        case "triangle":
            return f'<path d="M{x:.1f} {y - 8}L{x + 8:.1f} {y + 6}H{x - 8:.1f}Z" class="{css}"/>'
        case "diamond":
            return (
                f'<path d="M{x:.1f} {y - 9}L{x + 9:.1f} {y}L{x:.1f} {y + 9}L{x - 9:.1f} {y}Z" class="{css}"/>'
            )
        case "x":
            d = f"M{x - 6:.1f} {y - 6}L{x + 6:.1f} {y + 6}M{x + 6:.1f} {y - 6}L{x - 6:.1f} {y + 6}"
            return f'<path d="{d}" class="{css}" stroke-width="4" stroke-linecap="round"/>'
        case "plus":
            d = f"M{x - 8:.1f} {y}H{x + 8:.1f}M{x:.1f} {y - 8}V{y + 8}"
            return f'<path d="{d}" class="{css}" stroke-width="4.5" stroke-linecap="round"/>'


def _text(words: str) -> str:
    return escape(NOT_XML.sub("\ufffd", words))


def _attribute(words: str) -> str:
    return quoteattr(NOT_XML.sub("\ufffd", words))
