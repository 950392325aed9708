"""Many processes claim and hand in at once, some leave, until nothing is left: at most k, no double, no hole."""

import subprocess
import sys

import pytest

from tests.installation import KINDS, ROOT, install

MAKE = """
from tests import making
campaign = making.campaign(threads=16, expected_annotators=12, items_per_annotator=30)
people = [making.participation(campaign).pk for _ in range(12)]
print(*people)
"""

# Every fifth showing is left to its fate; the lease is then run out by hand, as if half an hour had passed.
WORK = """
import sys, time
from datetime import timedelta
from annotations import assignment as work
from annotations.models import Assignment, Participation
from generation.clock import database_now
people = [Participation.objects.select_related("campaign", "run").get(pk=int(pk)) for pk in sys.argv_people]
shown, idle = 0, 0
while idle < 25:
    got = False
    for person in people:
        held = work.claim(person, database_now())
        if held is None:
            continue
        got, shown = True, shown + 1
        if shown % 5 == 0:
            Assignment.objects.filter(pk=held.pk, status="open").update(lease_until=database_now() - timedelta(seconds=1))
            continue
        work.submit(held, f"s{held.pk}", {("human_likeness", ""): "left", ("informativeness", ""): "equal"}, database_now())
    idle = 0 if got else idle + 1
    if not got:
        time.sleep(0.02)
"""

COUNT = """
from collections import Counter
from annotations import assignment as work
from annotations.models import Assignment, Item, Participation, Slot
counted = Assignment.objects.filter(status="submitted")
per_item = Counter(counted.values_list("item", flat=True))
per_person = Counter(counted.values_list("participation", flat=True))
# A place may stay free only where nobody who is there may take it: all have seen the item, or the thread just now.
takers = sum(work.eligible(person).count() for person in Participation.objects.all()
             if per_person[person.pk] < work.load_limit(person))
print(max(per_item.values()), len(per_item), Item.objects.count(), takers, Slot.objects.filter(free=True).count() <= 3,
      len(set(counted.values_list("participation", "item"))) == counted.count(), max(per_person.values()))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_no_item_gets_more_than_k_judgings_and_no_place_stays_free_that_someone_could_take(kind, tmp_path):
    installation = install(kind, tmp_path)
    people = installation.manage("shell", "-v0", "-c", MAKE).split()[-12:]

    workers = [
        subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-v0", "-c",
             f"import sys; sys.argv_people = {people[n::4]!r}\n{WORK}"],
            cwd=ROOT, env=installation.env, stderr=subprocess.PIPE, text=True,
        )
        for n in range(4)
    ]  # fmt: skip
    faults = [worker.communicate(timeout=180)[1] for worker in workers]

    assert [worker.returncode for worker in workers] == [0] * 4, faults
    *counts, most = installation.manage("shell", "-v0", "-c", COUNT).strip().splitlines()[-1].rsplit(" ", 1)
    assert counts == ["3 48 48 0 True True"]
    assert int(most) <= 2 * (48 * 3 // 12)
