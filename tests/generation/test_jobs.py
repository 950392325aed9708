"""Jobs are done by one process at a time, and what another has taken over stays that other's."""

from datetime import timedelta

import pytest

from generation import jobs
from generation.clock import database_now
from generation.models import Job, JobLost

pytestmark = pytest.mark.django_db


@pytest.fixture
def job():
    return Job.objects.create(kind=Job.Kind.EXPORT)


def taken_over(job):
    """The job as another process has it, after the first was silent for longer than its lease."""
    Job.objects.filter(pk=job.pk).update(lease_until=database_now() - timedelta(seconds=1))
    other = Job.objects.get(pk=job.pk)
    assert other.claim()
    return other


def test_a_job_is_claimed_once(job):
    other = Job.objects.get(pk=job.pk)

    assert (job.claim(), other.claim()) == (True, False)


@pytest.mark.parametrize(
    "late", [lambda job: job.finish(), lambda job: job.fail("It fell over."), lambda job: job.advance(1, 2)]
)
def test_who_was_silent_for_too_long_changes_nothing(job, late):
    job.claim()
    other = taken_over(job)

    with pytest.raises(JobLost):
        late(job)

    other.finish({"rows": 3})
    kept = Job.objects.get(pk=job.pk)
    assert (kept.status, kept.result, kept.error) == ("finished", {"rows": 3}, "")


def test_a_job_that_tells_how_far_it_is_keeps_it(job):
    job.claim()
    job.advance(1, 2)
    job.advance(2)

    job.finish()

    kept = Job.objects.get(pk=job.pk)
    assert (kept.status, kept.done, kept.total, kept.lease_until) == ("finished", 2, 2, None)


def test_a_job_lost_on_the_way_is_no_fault(job, monkeypatch):
    monkeypatch.setitem(jobs._handlers, Job.Kind.EXPORT, lambda job: {"rows": len(taken_over(job).error)})

    done = jobs.run_job(job)

    assert done is False
    assert Job.objects.get(pk=job.pk).status == "running"
