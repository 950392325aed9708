from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from generation.commands import Refusal, ReplikCommand

NOT_YET = "is not in this version, which analyses files of preferences"


class Command(ReplikCommand):
    help = "Analyses a CSV of judgements, ours or anyone's: report.html, results.json, tables and plots."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE.csv")
        parser.add_argument("--out", required=True, metavar="DIR", help="the report's folder")
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument(
            "--preferences", action="store_true", help="the file has a column winner (a, b, tie)"
        )
        kind.add_argument("--scores", action="store_true", help="the file has a column value")
        parser.add_argument(
            "--columns",
            metavar="OURS=THEIRS,...",
            help="what the file calls our columns, such as context=item,annotator=rater",
        )
        parser.add_argument("--control", metavar="SYSTEM", help="the system that control items show")
        parser.add_argument("--control-criteria", metavar="A,B")

    def work(self, **options: Any) -> dict[str, Any]:
        # Here, since only who analyses should wait for the libraries of statistics.
        from analysis.folder import new_report, write_report
        from analysis.report import as_refusal
        from analysis.results import Settings, analyse
        from analysis.tables import TableError, kind_of, read_preferences

        for option in ("control", "control_criteria"):
            if options[option]:
                name = f"--{option.replace('_', '-')}"
                raise Refusal(f"Quality control by a control system {NOT_YET}.", key=name)
        path, columns = Path(options["file"]), _columns(options["columns"])
        try:
            if options["scores"] or (not options["preferences"] and kind_of(path, columns) == "scores"):
                raise Refusal(f"A file of scores {NOT_YET}.", file=str(path), key="--scores")
            table = read_preferences(path, columns=columns)
        except TableError as error:
            raise as_refusal(error) from error
        results = analyse(table, Settings(version=settings.VERSION))
        named = {*table.system_a.names, *table.system_b.names}
        results["settings"] |= {"reference": "human" if "human" in named else None}
        out = Path(options["out"]).absolute()
        with new_report(out) as folder:
            write_report(folder, results, None, timezone.now())
        for warning in results["warnings"]:
            self.say(f"! {warning}")
        self.say(f"{out / 'report.html'}: {len(table)} judgements")
        return {"out": str(out), "warnings": results["warnings"]}


def _columns(text: str | None) -> dict[str, str]:
    """context=item,annotator=rater as {ours: theirs}. Raises Refusal on names that are not ours."""
    from analysis.tables import COLUMNS

    found = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        ours, equals, theirs = (piece.strip() for piece in part.partition("="))
        if not equals or not theirs:
            raise Refusal(f"{part.strip()!r} names no column; write OURS=THEIRS.", key="--columns")
        if ours not in (*COLUMNS, "value"):
            raise Refusal(
                f"There is no column {ours!r} of ours. There are: {', '.join(COLUMNS)}.", key="--columns"
            )
        found[ours] = theirs
    return found
