"""The form of a figure."""

from typing import Any


def row(
    name: str, value: float, unit: str, goal: float | None = None, detail: str = "", *, most: bool = False
) -> dict[str, Any]:
    """A figure; with a goal it says whether that holds (`most`: the goal is an upper bound)."""
    holds = None if goal is None else (value <= goal if most else value >= goal)
    return {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "goal": goal,
        "holds": holds,
        "detail": detail,
    }
