"""Coverage in sentences, for the command line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from lakecdp.insight.coverage import coverage
from lakecdp.insight.figures import Coverage
from lakecdp.platform.errors import UsageError
from lakecdp.platform.job import Job

BASES = {
    "sequence": "sequence numbers",
    "orders": "back-office orders",
    "control_totals": "control totals",
}


def measured(job: Job, days: int, most: int) -> Coverage:
    """The figures of the days up to the run date.

    Raises:
        UsageError: nothing was measured yet.
    """
    if not job.ledger.published.get("gold.channel"):
        raise UsageError("Nothing was measured yet: run the job 08_measurement/coverage.")
    since = job.run_date - timedelta(days=days - 1)
    return coverage(job.read, since, job.run_date, most)


def coverage_lines(found: Coverage) -> Iterator[str]:
    """The figures, a line each."""
    yield f"Coverage from {found.since} to {found.until}"
    for c in found.covered:
        share = "nothing expected" if c.share is None else f"{c.share:.2%} of {c.expected:,}"
        target = ""
        if c.target is not None:
            target = f", target {c.target:.0%} {'met' if c.met else 'MISSED'}"
        amount = f", amounts differ by {c.difference:,.2f}" if c.difference else ""
        yield (
            f"  {c.channel} {c.event}: {share} arrived by {BASES[c.basis]} of {c.source}"
            f"{target}; {c.missing:,} missing{amount}"
        )
    if not found.covered:
        yield "  nothing says what is to be expected: see docs/how-to/measure-coverage.md"
    if found.shorts:
        yield f"Files that differ from their control totals: {found.shorts:,}"
    for f in found.short:
        amounts = ""
        if f.expected_amount is not None:
            amounts = f", amount {f.arrived_amount or 0:,.2f} of {f.expected_amount:,.2f}"
        yield f"  {f.file}: {f.arrived:,} of {f.expected:,} records{amounts}"
    if found.planned:
        seen = "all observed" if not found.unseen else f"never seen: {', '.join(found.unseen)}"
        yield f"Tracking plan: {found.planned:,} events and properties; {seen}"
    for v in found.violations:
        name = f"{v.event}.{v.property}" if v.property else v.event
        what = f"{v.violation} ({v.found})" if v.violation == "wrong_type" else v.violation
        yield (
            f"  {v.plan} {name}, version {v.app_version}: {what}, {v.records:,} records, "
            f"such as {v.sample}"
        )
    idle = [c.channel for c in found.channels if c.declared and not c.connected]
    others = [c.channel for c in found.channels if not c.declared]
    yield (
        f"Channels: {found.connected} of {found.declared} declared are connected"
        + (f"; not connected: {', '.join(idle)}" if idle else "")
        + (f"; seen and not declared: {', '.join(others)}" if others else "")
    )
