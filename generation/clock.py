"""Time, from one place: the database's clock, since web servers and workers may not agree about theirs."""

from datetime import UTC, datetime

from django.db import connection


def database_now() -> datetime:
    """Now, by the database's clock (on SQLite the clock of this machine, which all its users share)."""
    if connection.vendor == "sqlite":
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now
