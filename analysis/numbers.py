"""Numbers and names as a report prints them. Pure.

Rounding never moves a number across a border that decides something: 50.04% is not printed as 50.0%.
"""

from collections.abc import Iterable

NONE = "–"

CRITERIA = {"human_likeness": "Human-likeness", "informativeness": "Informativeness"}
AS_AS = {"human_likeness": "as human-like as", "informativeness": "as informative as"}


def percent(share: float | None, digits: int = 1) -> str:
    """31.2%"""
    return NONE if share is None else f"{_rounded(100 * share, digits, (0, 50, 100))}%"


def percent_interval(low: float | None, high: float | None) -> str:
    """24.1 to 39.0%"""
    if low is None or high is None:
        return NONE
    return f"{percent(low)[:-1]} to {percent(high)}"


def decimal(value: float | None, digits: int = 2) -> str:
    """0.41, −0.05; never −0.00"""
    if value is None:
        return NONE
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{digits}f}"


def decimal_interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return NONE
    return f"{decimal(low)} to {decimal(high)}"


def p_value(p: float | None, alpha: float = 0.05) -> str:
    """.004, < .0001; with more digits where three would move it to the other side of alpha."""
    if p is None:
        return NONE
    if p < 0.0001:
        return "< .0001"
    text = _rounded(p, 4 if p < 0.001 else 3, (alpha, 1))
    return text.lstrip("0") if p < 1 else "1"


def p_says(p: float | None, alpha: float = 0.05) -> str:
    """p = .004, p < .0001"""
    text = p_value(p, alpha)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def count(number: float) -> str:
    """1,234"""
    return f"{number:,.0f}"


def plural(number: int, one: str, many: str = "") -> str:
    """1 thread, 12 threads"""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def listed(words: Iterable[str], last: str = "and") -> str:
    """a, b and c"""
    *others, final = list(words) or [""]
    return f"{', '.join(others)} {last} {final}" if others else final


def criterion_name(key: str) -> str:
    """A criterion as a heading."""
    return CRITERIA.get(key) or key.replace("_", " ").strip().capitalize() or key


def as_as(key: str) -> str:
    """The words between two systems that are alike under a criterion."""
    return AS_AS.get(key, f"as good on {criterion_name(key).lower()} as")


def _rounded(value: float, digits: int, borders: tuple[float, ...]) -> str:
    """As many digits as it takes to stay off the borders that the value is not on."""
    text = f"{value:.{digits}f}"
    while digits < 6 and any(float(text) == border != value for border in borders):
        digits += 1
        text = f"{value:.{digits}f}"
    return text
