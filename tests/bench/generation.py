"""Replies per minute of the demo's model with the demo's settings, through claims and the database."""

import statistics
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from generation.engines.folders import demo_model_path
from tests.bench.rows import row
from tests.installation import ROOT, install

RUNS = 3

WRITE = """
import time
from evalsite import demo
from annotations.models import Campaign
from generation import writing
from generation.models import Reply
if not Campaign.objects.exists():
    demo.load()
campaign = Campaign.objects.get(slug="demo")
if campaign.status == "draft":
    campaign.generate()
order = campaign.order
order.replies().update(status="waiting", written_at=None, items=None, text="", tries=0)
writing.write_for_order(order, "human")
writing.loaded_engine("path:SmolLM2-135M-Instruct.gguf")
started = time.perf_counter()
while writing.write_for_order(order, "path:SmolLM2-135M-Instruct.gguf"):
    pass
seconds = time.perf_counter() - started
rows = order.replies().filter(system__kind="transformers", status="written")
print(rows.count(), sum(rows.values_list("new_tokens", flat=True)), seconds)
"""


def measure() -> list[dict[str, Any]]:
    if demo_model_path() is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        installation = install("laptop", Path(folder))
        installation.env.pop("OMP_NUM_THREADS")
        found = [installation.manage("shell", "-v0", "-c", WRITE).split()[-3:] for _ in range(RUNS)]
    minutes = statistics.median(60 * int(n) / float(seconds) for n, _, seconds in found)
    tokens = statistics.median(int(made) / float(seconds) for _, made, seconds in found)
    table = tomllib.loads((ROOT / "evalsite" / "demo" / "english.toml").read_text(encoding="utf-8"))
    detail = (
        f"median of {RUNS}; {found[0][0]} replies to {table['sample']['threads']} threads, weights loaded"
    )
    return [
        row("replies of the demo's model", minutes, "replies/min", None, detail),
        row("tokens of the demo's model", tokens, "tokens/s", None, detail),
    ]


if __name__ == "__main__":
    sys.exit("Run it as: make bench PART=generation")
