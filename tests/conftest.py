"""What all tests share: a small corpus, systems, and campaigns at each stage of their life."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests import making, services


@pytest.fixture
def shared_data() -> Path:
    return services.shared_data()


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def make_campaign(db: None) -> Callable[..., Any]:
    """`make_campaign(status="open", threads=4, ...)`: a campaign with written replies, items and slots."""
    return making.campaign


@pytest.fixture
def campaign(make_campaign: Callable[..., Any]) -> Iterator[Any]:
    """An open campaign: 4 threads, human and two systems, 12 items, k = 3."""
    return make_campaign()
