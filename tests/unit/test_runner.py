"""Which jobs run beside one another, and what happens to the others when one fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from lakecdp import runner
from lakecdp.pipeline import DAILY, JobSpec
from lakecdp.platform.errors import LakecdpError, UsageError
from lakecdp.platform.ledger import Stop

DIAMOND = (
    JobSpec("a/root", "root"),
    JobSpec("b/short", "short", ("a/root",)),
    JobSpec("b/long", "long", ("a/root",)),
    JobSpec("c/longer", "longer", ("b/long",)),
    JobSpec("d/end", "end", ("b/short", "c/longer")),
)


STOP, CANCELS = Stop(), []
SPARK: Any = SimpleNamespace(
    sparkContext=SimpleNamespace(cancelAllJobs=lambda: CANCELS.append(STOP.asked))
)


class Fake:
    """What the runner asks of a job; it remembers when each job began and ended."""

    def __init__(self, events: list[str], name: str = "", lake: Any = None):
        self.events, self.name = events, name
        self.summaries, self.notes, self.failures = [], [f"{name} done"] if name else [], []
        self.lake = lake or SimpleNamespace(beside=SimpleNamespace)
        self.settings = SimpleNamespace(runs=lambda job: "idle" not in job)
        self.log = logging.getLogger("lakecdp")
        self.ledger = SimpleNamespace(flush=lambda: events.append("flush"), stop=STOP)
        self.spark = SPARK

    def named(self, name: str, lake: Any) -> Fake:
        return Fake(self.events, name, lake)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[runner.Outcome, list[str]]]:
    def go(
        specs: tuple[JobSpec, ...], work: Callable[[str], None] = lambda _: None
    ) -> tuple[runner.Outcome, list[str]]:
        def load(spec: JobSpec) -> Callable[[Fake], None]:
            def job(this: Fake) -> None:
                this.events.append(f"+{spec.task}")
                work(spec.task)
                this.events.append(f"-{spec.task}")

            return job

        monkeypatch.setattr(runner, "load_job", load)
        monkeypatch.setattr(runner, "lanes", lambda: 2)
        outcome = runner.run_pipeline(Fake(events), specs, Console(quiet=True))  # type: ignore[arg-type]
        return outcome, events

    events: list[str] = []
    go.events = events  # type: ignore[attr-defined]
    return go


def test_a_job_begins_when_all_before_it_have_ended(run: Any) -> None:
    outcome, events = run(DAILY, lambda _: time.sleep(0.01))
    for spec in DAILY:
        for before in spec.after:
            assert events.index(f"-{before.split('/')[1]}") < events.index(f"+{spec.task}")
    assert sorted(e for e in events if e[0] == "-") == sorted(f"-{s.task}" for s in DAILY)
    assert outcome.notes == [f"{s.name} done" for s in DAILY], "told in the order of the pipeline"


def test_two_jobs_run_at_once_where_neither_waits_for_the_other(run: Any) -> None:
    met = threading.Barrier(2, timeout=10)

    def work(task: str) -> None:
        if task in ("short", "long"):
            met.wait()

    outcome, _ = run(DIAMOND, work)
    assert outcome.failures == []


def test_what_most_steps_wait_for_begins_first(run: Any) -> None:
    _, events = run(DIAMOND)
    assert events.index("+long") < events.index("+short")


def test_after_a_failure_no_other_job_begins_and_the_one_beside_ends(run: Any) -> None:
    failed = threading.Event()

    def work(task: str) -> None:
        if task == "long":
            failed.set()
            raise LakecdpError("no room")
        if task == "short":
            assert failed.wait(10)

    outcome, events = run(DIAMOND, work)
    assert outcome.failures == ["b/long failed: no room"]
    assert "-short" in events
    assert not {"+longer", "+end"} & set(events)
    assert events[-1] == "flush"


def test_a_wrong_rule_ends_the_run_as_misuse_once_the_ledger_is_written(run: Any) -> None:
    def work(task: str) -> None:
        if task == "long":
            raise UsageError("tags.yaml:3: no such tag")

    with pytest.raises(UsageError, match=r"tags\.yaml:3"):
        run(DIAMOND, work)
    assert run.events[-1] == "flush"
    assert "+end" not in run.events


def test_ctrl_c_ends_the_jobs_under_way_and_begins_no_other(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    CANCELS.clear()
    whole, calls = runner.wait, []

    def interrupted(*args: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(*args, **more)

    def work(task: str) -> None:
        # The one is at work until Spark is cancelled, the other is restoring its tables.
        if task == "long":
            with STOP.settling():
                time.sleep(1.5)
            assert CANCELS == []
            while not CANCELS:
                time.sleep(0.01)

    monkeypatch.setattr(runner, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(DIAMOND, work)
    assert CANCELS == [True]
    assert "-long" in run.events
    assert not {"+longer", "+end"} & set(run.events)
    STOP.asked = False


def test_jobs_that_are_switched_off_are_left_out(run: Any) -> None:
    specs = (JobSpec("1/a", ""), JobSpec("1/idle", "", ("1/a",)), JobSpec("2/b", "", ("1/idle",)))
    outcome, events = run(specs)
    assert events == ["+a", "-a", "+b", "-b", "flush"]
    assert outcome.notes == ["1/a done", "2/b done"]
