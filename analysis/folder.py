"""A report as files: report.html that opens by itself, results.json, tables as CSV, plots as SVG."""

import csv
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from analysis.page import AgreementSection, PreferenceSection, ReportPage, report_page
from annotations.spreadsheets import protect
from generation.commands import Refusal

ENTRIES = ("report.html", "results.json", "tables", "plots")
SIMULATED = "Simulated annotators"

#: What the stylesheet gives a plot on a page, in plain colours: a saved plot stands alone.
PLOT_STYLE = (
    'text{font:15px Inter,"Segoe UI",Roboto,"Liberation Sans",sans-serif;fill:#20262b}'
    ".axis{font-size:13px;fill:#555c62}.mark{font-size:13px;fill:#774c00;font-weight:600}"
    ".grid{stroke:#dcd7cc}.zero{stroke:#7d7a72;stroke-dasharray:4 4}.range{stroke-width:3;stroke-linecap:round}"
    ".paper{fill:#fff}.sys-h{fill:#20262b;stroke:#20262b}"
    + "".join(
        f".sys-{number}{{fill:{colour};stroke:{colour}}}"
        for number, colour in enumerate(("#3f98b2", "#5b2e0c", "#412a79", "#9c910c", "#b74c68"), start=1)
    )
)


def write_report(
    folder: Path, results: Mapping[str, Any], manifest: Mapping[str, Any] | None, now: datetime
) -> None:
    """Writes the report's files into a folder that is there already. No number of it is NaN."""
    page = report_page(results, manifest, now)
    text = json.dumps(results, ensure_ascii=False, indent=2, allow_nan=False)
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")
    (folder / "report.html").write_text(saved_page(page), encoding="utf-8")
    _write_tables(folder / "tables", results)
    _write_plots(folder / "plots", page)


def saved_page(page: ReportPage) -> str:
    """The page with its stylesheet in it, so that it needs no other file and no network."""
    path = finders.find("replik/replik.css")
    assert isinstance(path, str)
    stylesheet = Path(path).read_text(encoding="utf-8")
    # Our own file, which cannot end the element early; the template would spoil its quotes.
    return render_to_string(
        "replik/report/saved.html",
        {"page": page, "stylesheet": mark_safe(stylesheet)},  # noqa: S308
    )


@contextmanager
def new_report(out: Path) -> Iterator[Path]:
    """An empty folder to write a report into; at the end its files stand in `out`, replacing an earlier report's.

    Raises Refusal where `out` holds something else, or cannot be written. Other files in `out` stay.
    """
    out = out.absolute()
    _check(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as fault:
        raise Refusal(f"It cannot be written: {fault.strerror}.", file=str(out)) from fault
    try:
        yield made
        made.chmod(0o755)
        if not out.exists():
            os.rename(made, out)
            return
        for name in ENTRIES:
            _remove(out / name)
            os.rename(made / name, out / name)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _check(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise Refusal("It is a file. Name a folder.", file=str(out))
    earlier = (out / "report.html").is_file() and (out / "results.json").is_file()
    if any(out.iterdir()) and not earlier:
        raise Refusal(
            "It is there already and is no earlier report. Name a new or an empty folder.", file=str(out)
        )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_tables(folder: Path, results: Mapping[str, Any]) -> None:
    """One CSV for each list of results.json that has rows, with a column that marks simulated annotators."""
    folder.mkdir()
    simulated = int(bool(results["settings"]["simulated"]))
    for name, rows in results.items():
        if name in ("settings", "warnings") or not rows:
            continue
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*columns, "simulated"])
            writer.writerows([*(_cell(row.get(key)) for key in columns), simulated] for row in rows)


def _cell(value: Any) -> Any:
    """A value as a cell: empty for null, 0 and 1 for no and yes, lists with semicolons between."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return protect("; ".join(map(str, value)))
    return protect(value) if isinstance(value, str) else value


def _write_plots(folder: Path, page: ReportPage) -> None:
    folder.mkdir()
    sections: list[AgreementSection | PreferenceSection] = [*page.agreement, *page.preferences]
    for section in sections:
        if section.plot:
            (folder / f"{section.identity}.svg").write_text(
                _standing_alone(section.plot.svg, page.simulated), encoding="utf-8"
            )


def _standing_alone(svg: str, simulated: bool) -> str:
    """The plot with colours of its own, on paper, and with its warning where annotators were simulated."""
    box = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    assert box is not None
    width, height = int(box[1]), int(box[2])
    above = 30 if simulated else 8
    mark = f'<text x="0" y="{-above + 18}" class="mark">! {SIMULATED}</text>' if simulated else ""
    frame = f"{-12} {-above} {width + 24} {height + above + 8}"
    paper = f'<rect x="-12" y="{-above}" width="{width + 24}" height="{height + above + 8}" class="paper"/>'
    start = svg.index("</title>") + len("</title>")
    head = svg[:start].replace(
        box[0], f'viewBox="{frame}" width="{2 * (width + 24)}" height="{2 * (height + above + 8)}"'
    )
    return f"{head}<style>{PLOT_STYLE}</style>{paper}{mark}{svg[start:]}\n"
