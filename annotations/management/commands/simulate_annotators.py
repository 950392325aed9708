import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser
from django.core.validators import validate_slug

from annotations.commands import CampaignCommand, find_campaign
from annotations.models import Run
from annotations.simulation import Effects, simulate
from generation.commands import Refusal
from generation.progress import Bar


class Command(CampaignCommand):
    help = "Lets scripted annotators rate a campaign, as a named run with counted places of its own."

    def arguments(self, parser: CommandParser) -> None:
        super().arguments(parser)
        parser.add_argument("--annotators", type=int, required=True, metavar="N")
        parser.add_argument("--seed", type=int, required=True, metavar="S")
        parser.add_argument("--run", required=True, metavar="NAME", help="what the run is called")
        parser.add_argument(
            "--effects", metavar="FILE", help="what is true in the simulated world (TOML or JSON)"
        )
        parser.add_argument("--through", choices=["services", "http"], default="services")

    def work(self, **options: Any) -> dict[str, Any]:
        if options["through"] == "http":
            raise Refusal(
                "Annotators through http are not in this version; use --through services.", key="--through"
            )
        if options["annotators"] < 1:
            raise Refusal(f"It is {options['annotators']}; use 1 or more.", key="--annotators")
        if not abs(options["seed"]) < 2**63:
            raise Refusal(f"It is {options['seed']}; use a number of at most 18 digits.", key="--seed")
        try:
            validate_slug(options["run"])
        except ValidationError:
            raise Refusal("Use letters from a to z, digits, - and _ only.", key="--run") from None
        most = Run._meta.get_field("name").max_length or 0
        if len(options["run"]) > most:
            raise Refusal(f"It has {len(options['run'])} characters; use at most {most}.", key="--run")
        campaign = find_campaign(options["campaign"])
        names = [place.system.name for place in campaign.ordered_systems]
        effects = Effects.read(Path(options["effects"]), names) if options["effects"] else Effects()
        bar = Bar(sys.stderr, "items rated")
        done = simulate(
            campaign,
            annotators=options["annotators"],
            seed=options["seed"],
            name=options["run"],
            effects=effects,
            progress=bar.show,
        )
        bar.end()
        self.say(
            f"{done.annotators} simulated annotators gave {done.judgements} judgements in run {done.run}."
        )
        return {"annotators": done.annotators, "judgements": done.judgements, "run": done.run}
