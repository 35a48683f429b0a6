"""What every job is given, and the command line that every job file has."""

from __future__ import annotations

import argparse
import logging
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TypeVar

from pyspark.sql import DataFrame, SparkSession

from lakecdp.platform import logs
from lakecdp.platform.batch import Batch
from lakecdp.platform.errors import LakecdpError, UsageError
from lakecdp.platform.fs import java_message
from lakecdp.platform.lake import Lake
from lakecdp.platform.lease import Lease
from lakecdp.platform.ledger import Ledger, LedgerError
from lakecdp.platform.part import Step, Summary, Unit
from lakecdp.platform.session import build_session
from lakecdp.platform.settings import Conf, Settings, load_settings

T = TypeVar("T")
R = TypeVar("R")


class Job:
    """The surroundings of a job: session, settings, rules, lake, ledger, run date.

    Attributes:
        spark: the session.
        settings: settings of the environment.
        conf: business rules.
        lake: the lake.
        ledger: the run ledger.
        run_date: the date that the run stands for.
        run_id: the run.
        name: path of the job below jobs/, such as `02_silver/conform`.
        source: the only source to work on, or None for all.
        approve_as: the person who approves a model in this run, or None.
        summaries: what the batches of this job did.
    """

    def __init__(
        self,
        spark: SparkSession,
        settings: Settings,
        conf: Conf,
        run_date: date,
        *,
        name: str = "",
        source: str | None = None,
        approve_as: str | None = None,
        run_id: str | None = None,
        lake: Lake | None = None,
        ledger: Ledger | None = None,
    ):
        if settings.lake is None:
            raise UsageError(
                "No lake: give --lake, or set `lake` in the settings of the environment."
            )
        self.settings = settings
        self.conf = conf
        self.run_date = run_date
        self.run_id = run_id or uuid.uuid4().hex[:12]
        self.name = name
        self.source = source
        self.approve_as = approve_as
        self.lake = lake or Lake(spark, settings.lake)
        self.spark = self.lake.spark
        self.ledger = ledger or Ledger(spark, self.lake)
        self.log = logging.getLogger("lakecdp")
        self.summaries: list[Summary] = []
        self.failures: list[str] = []
        self.notes: list[str] = []

    def named(self, name: str, lake: Lake | None = None) -> Job:
        """The same surroundings for another job of the run.

        Args:
            name: the job.
            lake: the same lake through another session, for a job that runs beside others.
        """
        return Job(
            self.spark,
            self.settings,
            self.conf,
            self.run_date,
            name=name,
            source=self.source,
            approve_as=self.approve_as,
            run_id=self.run_id,
            lake=lake or self.lake,
            ledger=self.ledger,
        )

    @contextmanager
    def batch(
        self,
        unit: str = "",
        *,
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        rules: str = "",
        daily: bool = False,
    ) -> Iterator[Batch]:
        """One batch of this job with a single part; see `Unit` for the arguments.

        Args:
            unit: part of the job with progress of its own, such as a source.
            inputs: tables whose new rows it consumes.
            outputs: tables it writes, in the order of writing.
            rules: fingerprint of the rules; when it changes the batch is `full`.
            daily: the result depends on the run date too.
        """
        one = Unit(unit, tuple(inputs), tuple(outputs), rules)
        with self.batch_of([one], daily=daily) as batch:
            yield batch

    @contextmanager
    def batch_of(self, units: Sequence[Unit], *, daily: bool = False) -> Iterator[Batch]:
        """One batch of this job for several parts."""
        step = Step(self.run_id, self.name, self.run_date, tuple(units), daily)
        batch = Batch(self.lake, self.ledger, step)
        self.summaries += [p.summary for p in batch.parts]
        with batch:
            yield batch
        for part in batch.parts:
            self.log.info(
                "%s %s %s",
                self.name,
                part.unit.name,
                part.summary.outcome,
                extra={"fields": vars(part.summary)},
            )

    def together(self, units: Sequence[Unit], work: Callable[[Batch], None]) -> None:
        """Do the work for all units in one batch, because each table written costs seconds.

        When that fails, each unit that has something to do gets a batch of its own: the one at
        fault fails by name, and the others are done.
        """
        before = len(self.summaries)
        working = list(units)
        try:
            with self.batch_of(units) as batch:
                working = [p.unit for p in batch.at_work]
                work(batch)
        except (UsageError, LedgerError):
            raise
        except Exception as e:
            if self.ledger.stop.asked:
                raise
            self.log.warning("%s failed: %s", self.name, java_message(e))
            self.log.debug("%s failed", self.name, exc_info=True)
            if len(working) < 2:
                self.fail(_of_unit(units[0] if not working else working[0], e))
                return
            del self.summaries[before:]
            for unit in working:
                self.together([unit], work)

    def restates(self, unit: Unit) -> bool:
        """Whether a unit has run before under other rules."""
        since = self.ledger.consumed(self.name, unit.name)
        return since.mark > 0 and since.rules != unit.rules

    def read(self, name: str) -> DataFrame:
        """The published rows of a table."""
        return self.ledger.read(name, lake=self.lake)

    def note(self, sentence: str) -> None:
        """Tell whoever started the run something that is no failure."""
        self.notes.append(sentence)

    def fail(self, sentence: str) -> None:
        """Report that one part failed while the rest of the job goes on."""
        self.failures.append(sentence)


def at_once(work: Callable[[T], R], items: Sequence[T]) -> list[R | LakecdpError]:
    """Do something for several items, two at a time: one is planned while another runs.

    Returns:
        the results in order, or what kept an item from having one.
    """

    def attempt(item: T) -> R | LakecdpError:
        try:
            return work(item)
        except LakecdpError as e:
            return e
        except Exception as e:
            logging.getLogger("lakecdp").debug("%s failed", item, exc_info=True)
            return LakecdpError(java_message(e))

    with ThreadPoolExecutor(2, thread_name_prefix="lakecdp-at-once") as threads:
        return list(threads.map(attempt, items))


def _of_unit(unit: Unit, error: Exception) -> str:
    said = java_message(error)
    return said if said.startswith(f"source {unit.name}") else f"source {unit.name}: {said}"


def arguments(doc: str | None, prog: str | None = None) -> argparse.ArgumentParser:
    """The options that every job takes."""
    parser = argparse.ArgumentParser(
        prog=prog, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", required=True, help="environment: conf/<env>.yaml")
    parser.add_argument(
        "--run-date", "--as-of", type=day, help="date the run stands for; default today"
    )
    parser.add_argument("--lake", help="folder or URI of the lake")
    parser.add_argument("--landing", help="folder or URI where source files arrive")
    parser.add_argument("--conf", help="folder of YAML laid over the shipped conf/")
    parser.add_argument("--source", help="only this source")
    parser.add_argument("--approve-as", help="approve a better model in the name of this person")
    parser.add_argument(
        "--warnings-pass", action="store_true", help="exit 0, not 3, when a gate warned"
    )
    parser.add_argument("--run-id", help="name of the run in the ledger")
    return parser


def day(text: str) -> date:
    """A date given as yyyy-mm-dd."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write it as 2026-11-01") from None


def main(run: Callable[[Job], None], doc: str | None, argv: Sequence[str] | None = None) -> int:
    """Run one job from the command line; returns the exit code.

    0 done, or switched off in the settings, 1 failed, 2 wrong use or configuration, 3 done but a gate warned.
    """
    args = arguments(doc).parse_args(argv)
    logs.configure()
    module = sys.modules[run.__module__]
    name = "/".join(str(getattr(module, "__file__", "")).removesuffix(".py").split("/")[-2:])
    try:
        conf = Conf(args.conf)
        settings = load_settings(conf, args.env, lake=args.lake, landing=args.landing)
        if not settings.runs(name):
            print(f"{name} is switched off in the settings")
            return 0
        spark = build_session(settings.spark, f"lakecdp {name}")
        with lake_lease(spark, settings):
            job = Job(
                spark,
                settings,
                conf,
                args.run_date or datetime.now(UTC).date(),
                name=name,
                source=args.source,
                approve_as=args.approve_as,
                run_id=args.run_id,
            )
            run(job)
            job.ledger.flush()
    except LakecdpError as e:
        print(f"lakecdp: {e}", file=sys.stderr)
        return e.exit_code
    except Exception as e:
        logging.getLogger("lakecdp").debug("%s failed", name, exc_info=True)
        print(f"lakecdp: {name} failed: {java_message(e)}", file=sys.stderr)
        return 1
    for s in job.summaries:
        print(line(s))
    for sentence in [*job.notes, *job.failures]:
        print(f"lakecdp: {sentence}", file=sys.stderr)
    if job.failures:
        return 1
    warned = any(s.outcome == "warned" for s in job.summaries)
    return 3 if warned and not args.warnings_pass else 0


def lake_lease(spark: SparkSession, settings: Settings) -> Lease:
    """The lease of the lake named in the settings.

    Raises:
        UsageError: no lake is named.
    """
    if settings.lake is None:
        raise UsageError("No lake: give --lake, or set `lake` in the settings of the environment.")
    return Lease(
        spark,
        settings.lake,
        wait_seconds=settings.lease.wait_seconds,
        expire_seconds=settings.lease.expire_seconds,
    )


def line(s: Summary) -> str:
    """One batch in one line."""
    parts = [f"{s.job} {s.unit}".strip(), s.outcome, f"{s.seconds:.1f} s"]
    for label, value in (
        ("in", s.rows_in),
        ("out", s.rows_out),
        ("duplicate", s.rows_duplicate),
        ("quarantined", s.rows_quarantined),
    ):
        if value is not None:
            parts.append(f"{label} {value:,}")
    return "  ".join([*parts, *([s.message] if s.message else [])])
