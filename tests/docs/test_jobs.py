"""docs/jobs.md: nine jobs, each in at most two commands. test_marks compares what is quick; here the rest runs too."""

from __future__ import annotations

import re

import pytest
from worlds.paths import ROOT

from scripts.docs.marks import Commands

TEXT = (ROOT / "docs/jobs.md").read_text(encoding="utf-8")
JOBS = {title: body for title, _, body in (part.partition("\n") for part in re.split(r"^## ", TEXT, flags=re.M)[1:])}
MINUTES = ("Capture this computer", "Export a model")
"""How the jobs begin that take minutes; tests of the commands do the same with smaller models."""


def commands_of(job: str, kinds: str = "| slowly| varying") -> list[str]:
    return re.findall(rf"<!-- shown(?:{kinds}): (.*?) -->", JOBS[job])


def test_there_are_nine_jobs_of_one_or_two_commands() -> None:
    assert len(JOBS) == 9
    assert {job for job in JOBS if not 1 <= len(commands_of(job)) <= 2} == set()


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(job, marks=pytest.mark.exhaustive if job.startswith(MINUTES) else ())
        for job in JOBS
        if commands_of(job, " slowly| varying")
    ],
)
def test_what_varies_runs_too(job: str, tmp_path) -> None:
    """In an empty folder, one command after the other; one that is refused raises StaleError."""
    commands = Commands(tmp_path)
    for command in commands_of(job):
        assert "Wrote " in commands.run(command)
