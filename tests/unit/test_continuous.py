"""Rounds of the continuous trigger: what is run, told and tried again; no Java."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from datetime import date
from types import SimpleNamespace

import pytest
from rich.console import Console

from lakecdp import continuous
from lakecdp.pipeline import between
from lakecdp.platform.errors import LakecdpError, UsageError

DAY = date(2026, 11, 1)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch):
    """Runs rounds; `bronze` and `rest` say what they give, `ran` which jobs ran."""
    state = SimpleNamespace(bronze="unchanged", rest=[], ran=[], progress=continuous.Progress())

    def pipeline(job: object, specs, _console: object) -> object:
        state.ran.append(specs[0].name)
        first = specs[0].stage == "01_bronze"
        summary = SimpleNamespace(outcome=state.bronze if first else "published", rows_out=7)
        return SimpleNamespace(summaries=[summary], failures=[] if first else state.rest)

    monkeypatch.setattr(continuous, "run_pipeline", pipeline)

    def one(day: date = DAY) -> list[str]:
        state.ran = []
        job = SimpleNamespace(run_date=day)
        continuous.one_round(job, between(None, "04_tags"), state.progress, Console(quiet=True))
        return state.ran

    state.one = one
    return state


def test_later_jobs_run_when_something_is_new_due_or_failed(rounds, capsys) -> None:
    both, first = ["01_bronze/ingest", "02_silver/conform"], ["01_bronze/ingest"]
    assert rounds.one() == both  # what was there before the first round
    assert rounds.one() == first
    rounds.bronze = "published"
    assert rounds.one() == both
    rounds.bronze, rounds.rest = "unchanged", ["it broke"]
    assert rounds.one() == first
    assert rounds.one(date(2026, 11, 2)) == both  # a new day, and this time it fails
    assert rounds.progress.failed
    assert rounds.one(date(2026, 11, 2)) == both
    assert capsys.readouterr().err == "lakecdp: it broke\n"  # told once
    rounds.rest = []
    assert rounds.one(date(2026, 11, 2)) == both
    assert not rounds.progress.failed
    assert rounds.one(date(2026, 11, 2)) == first


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_round(monkeypatch, capsys, number: int) -> None:
    old = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    done: list[str] = []

    @contextmanager
    def surroundings():
        if len(done) == 1:
            done.append("refused")
            raise UsageError("the mapping is wrong")
        yield SimpleNamespace()

    def one_round(*_args: object) -> None:
        done.append("begun")
        if len(done) == 3:
            os.kill(os.getpid(), number)
            threading.Event().wait(0.05)
            done.append("ended")

    monkeypatch.setattr(continuous, "one_round", one_round)
    try:
        code = continuous.repeat(surroundings, [], 0.01, Console(quiet=True))
    finally:
        for n, handler in old.items():
            signal.signal(n, handler)
    assert done == ["begun", "refused", "begun", "ended"]
    assert capsys.readouterr().err == "lakecdp: the mapping is wrong\n"
    # The stand-in of a round tells nothing, so the last word was that of the wrong mapping.
    assert code == 1


def test_what_is_wrong_from_the_start_ends_it() -> None:
    @contextmanager
    def surroundings():
        raise LakecdpError("no lake")
        yield

    with pytest.raises(LakecdpError, match="no lake"):
        continuous.repeat(surroundings, [], 0, Console(quiet=True))
