"""Which reply stands left, decided so that no side is favoured. Pure: no Django, no names, no ids.

The orientation of an item comes from its place in the seeded order. It alternates within an item by slot number,
and the first slot's side alternates within each system pair: a finished item differs by k mod 2, a finished pair
by at most 1.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from generation.sampling import chance

Side = Literal["a", "b"]
SIDES: tuple[Side, Side] = ("a", "b")


def other(side: Side) -> Side:
    return "b" if side == "a" else "a"


def first_sides(pairs: Sequence[Hashable], seed: int) -> list[Side]:
    """The side of slot 1 for each item, given the items' pairs in seeded order.

    Each pair starts with a side that the seed gives and alternates from there. Pairs must be given by their places
    in the campaign (never by name), so that renaming a system moves nothing.
    """
    following: dict[Hashable, Side] = {}
    sides: list[Side] = []
    for pair in pairs:
        if pair not in following:
            following[pair] = chance(seed, "first side", repr(pair)).choice(SIDES)
        side = following[pair]
        sides.append(side)
        following[pair] = other(side)
    return sides


def side_of(first: Side, number: int) -> Side:
    """The side of slot `number` (from 1) of an item whose first slot has side `first`."""
    return first if number % 2 else other(first)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A free slot: what stands left in it, what right."""

    slot: int
    left: Hashable
    right: Hashable


def most_even_first(candidates: Sequence[Candidate], balance: Mapping[Hashable, int]) -> list[Candidate]:
    """The candidates, those first after which this annotator's sides are most even, in their order otherwise.

    `balance` is, per system, how much oftener it stood left than right before this annotator.
    """

    def unevenness(candidate: Candidate) -> tuple[int, int]:
        left = abs(balance.get(candidate.left, 0) + 1)
        right = abs(balance.get(candidate.right, 0) - 1)
        return max(left, right), left + right

    return sorted(candidates, key=unevenness)


def start_point(seed: int, participation: str, places: int) -> int:
    """Where in the seeded order a participation begins, so that arrivals spread over all items."""
    return chance(seed, "start", participation).randrange(max(places, 1))
