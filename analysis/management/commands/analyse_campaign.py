import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from analysis.folder import ENTRIES, new_report
from analysis.report import make_report, refuse_if_unseen
from annotations.commands import CampaignCommand, find_campaign, find_run
from generation.clock import database_now


class Command(CampaignCommand):
    help = "Analyses a closed campaign, or one of its runs: report.html, results.json, tables and plots."

    def arguments(self, parser: CommandParser) -> None:
        super().arguments(parser)
        parser.add_argument("--out", required=True, metavar="DIR", help="the report's folder")
        parser.add_argument("--run", metavar="NAME", help="analyse this simulation instead of the real data")

    def work(self, **options: Any) -> dict[str, Any]:
        campaign = find_campaign(options["campaign"])
        run = find_run(campaign, options["run"])
        refuse_if_unseen(campaign, run)
        out = Path(options["out"]).absolute()
        with new_report(out) as folder:
            report = make_report(campaign, run, now=database_now())
            package = settings.DATA_DIR / report.package
            for name in ENTRIES:
                copy = shutil.copytree if (package / name).is_dir() else shutil.copyfile
                copy(package / name, folder / name)
        warnings = report.results["warnings"]
        for warning in warnings:
            self.say(f"! {warning}")
        self.say(f"{out / 'report.html'}: {report.results['settings']['counts']['judgements']} judgements")
        return {"out": str(out), "warnings": warnings}
