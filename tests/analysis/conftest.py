"""Campaigns made up as files, since files are what the analysis reads."""

import csv

import numpy as np
import pytest

from analysis.tables import read_preferences
from annotations.spreadsheets import protect

COLUMNS = [
    "item",
    "context",
    "thread",
    "topic",
    "annotator",
    "criterion",
    "system_a",
    "system_b",
    "winner",
    "strength",
    "left",
    "layout",
    "seconds",
    "seconds_wall",
    "fold_opened",
    "changes",
    "submitted_at",
    "repeat",
    "control",
    "simulated",
]
TEXT = {"item", "context", "thread", "topic", "annotator", "criterion", "system_a", "system_b", "layout"}


def row(**cells):
    """One judgement as the data package writes it."""
    usual = {
        "item": "i1",
        "context": "c1",
        "thread": "t1",
        "topic": "Cycling",
        "annotator": "P-01",
        "criterion": "human_likeness",
        "system_a": "human",
        "system_b": "smol",
        "winner": "a",
        "left": "a",
        "layout": "beside",
        "seconds": "31.5",
        "seconds_wall": "40",
        "fold_opened": "0",
        "changes": "0",
        "submitted_at": "2026-01-01T12:00:00Z",
        "repeat": "0",
        "control": "0",
        "simulated": "0",
    }
    made = {**usual, **cells}
    made.setdefault("strength", "0" if made["winner"] == "tie" else "1")
    return made


def campaign_rows(
    seed=1,
    threads=20,
    annotators=8,
    per_item=3,
    systems=("human", "alpha", "smol"),
    criteria=("human_likeness", "informativeness"),
    odds=(0.4, 0.2, 0.4),
    clearly=False,
):
    """A balanced little campaign: every pair in every thread, judged by `per_item` annotators."""
    random = np.random.default_rng(seed)
    pairs = [(a, b) for a in sorted(systems) for b in sorted(systems) if a < b]
    rows = []
    for thread in range(threads):
        for place, (a, b) in enumerate(pairs):
            for slot, annotator in enumerate(
                random.choice(annotators, min(per_item, annotators), replace=False)
            ):
                for criterion in criteria:
                    winner = random.choice(["a", "tie", "b"], p=odds)
                    strength = "0" if winner == "tie" else str(random.integers(1, 3)) if clearly else "1"
                    rows.append(
                        row(
                            item=f"i{thread}-{place}",
                            context=f"c{thread}",
                            thread=f"t{thread}",
                            annotator=f"P-{annotator:02}",
                            criterion=criterion,
                            system_a=a,
                            system_b=b,
                            winner=winner,
                            strength=strength,
                            left="ab"[(slot + place) % 2],
                            layout="beside" if annotator % 2 else "stacked",
                            seconds=f"{random.gamma(4, 10):.1f}",
                        )
                    )
    return rows


def write_csv(path, rows, columns=None):
    """Writes rows as the exporter does: text cells made safe for spreadsheets."""
    columns = columns or COLUMNS
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(columns)
        for cells in rows:
            writer.writerow([protect(cells[c]) if c in TEXT else cells[c] for c in columns])
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """One folder for examples that Hypothesis makes by the dozen."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture
def read_rows(tmp_path):
    """Rows as a table, by way of a file."""

    def read(rows, columns=None, **options):
        return read_preferences(write_csv(tmp_path / "preferences.csv", rows, columns), **options)

    return read
