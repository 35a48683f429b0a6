"""The figures of a report: a few Spark queries on published tables, each with a small result."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import resources

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

import lakecdp
from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.shared import counting, is_shared
from lakecdp.insight import coverage, customers, sales
from lakecdp.insight.figures import (
    Account,
    Buyers,
    Flagged,
    Named,
    Quality,
    Refusal,
    Report,
    Traffic,
)
from lakecdp.platform.job import Job
from lakecdp.segments import catalogue as segment_rules
from lakecdp.tags import catalogue as tag_rules

INPUTS = (
    "silver.order",
    "silver.order_line",
    "silver.return",
    "silver.quarantine",
    "silver.event_traffic",
    "identity.link",
    "identity.node",
    "gold.node_day",
    "gold.customer_feature",
    "gold.tag_matrix",
    "gold.segment",
    "gold.score",
    *coverage.TABLES,
)
"""The tables that a report is made from, besides operations.run."""

TOP_REASONS = 10


def fingerprint(job: Job) -> str:
    """A hash of what a page depends on besides tables and run date: settings, rules, looks."""
    s = job.settings
    parts = [lakecdp.__version__, s.company, s.currency, s.language]
    parts += [is_shared(IdentityRules.load(job.conf))]
    files = [*job.conf.folder("tags"), *job.conf.folder("segments")]
    parts += [p.read_text(encoding="utf-8") for p in files]
    package = resources.files("lakecdp.insight")
    looks = ("report.html.j2", "report.css", "words.yaml")
    parts += [package.joinpath(n).read_text(encoding="utf-8") for n in looks]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def collect(job: Job) -> Report:
    """Everything that the page of a run date says, as of that date."""
    s, ledger = job.settings, job.ledger.published
    links = job.read("identity.link").where("valid_to IS NULL").select("node_id", "customer_id")
    counts = counting(links, job.read("identity.node"), IdentityRules.load(job.conf))
    returned, lines = job.read("silver.return"), job.read("silver.order_line")
    orders = sales.owned_orders(job.read("silver.order"), lines, counts, job.run_date).persist()
    crossed = (job.read(t) for t in ("gold.customer_feature", "gold.segment", "gold.score"))
    names = segment_names(job)
    try:
        # Many small queries: the next one is planned while one runs.
        with ThreadPoolExecutor(2, thread_name_prefix="lakecdp-report") as threads:
            people = threads.submit(customers.crossed, *crossed)
            totals = threads.submit(sales.totals, orders, returned)
            cohorts = threads.submit(sales.cohorts, orders, job.run_date)
            products = threads.submit(sales.top_products, orders, lines, job.run_date)
            categories = threads.submit(sales.top_categories, orders, job.run_date)
            days = job.read("gold.node_day")
            activity = threads.submit(customers.activity, links, counts, days, job.run_date)
            active = tag_rules.load(job.conf).active
            tags = threads.submit(customers.tags, job.read("gold.tag_matrix"), active, s.language)
            done = threads.submit(runs, job.read("operations.run"), job.name)
            refused = threads.submit(refusals, job.read("silver.quarantine"))
            left_out = threads.submit(traffic, job.read("silver.event_traffic"))
            since = job.run_date - timedelta(days=coverage.RECENT_DAYS - 1)
            covered = threads.submit(coverage.coverage, job.read, since, job.run_date)
    finally:
        orders.unpersist()
    run_id, run_seq, accounts = done.result()
    crowd = people.result()
    return Report(
        company=s.company,
        currency=s.currency,
        language=s.language,
        run_date=job.run_date,
        run_id=run_id,
        run_seq=run_seq,
        versions={t: ledger[t] for t in sorted(ledger) if t in INPUTS},
        sales=totals.result(),
        activity=activity.result(),
        lifecycle=customers.grouping(crowd, "lifecycle", names["lifecycle"]),
        tiers=customers.grouping(crowd, "rfm", names["rfm"]),
        buyers=Buyers(sum(p["buyers"] for p in crowd), sum(p["repeaters"] for p in crowd)),
        cohorts=cohorts.result(),
        products=products.result(),
        categories=categories.result(),
        tags=tags.result(),
        churn=customers.churn(crowd, names["rfm"]),
        quality=quality(accounts, refused.result()),
        traffic=left_out.result(),
        coverage=covered.result(),
    )


def segment_names(job: Job) -> dict[str, list[Named]]:
    """Segments of the two segmentations shown, in the order of their rules."""
    found: dict[str, list[Named]] = {"lifecycle": [], "rfm": []}
    for rules in segment_rules.load(job.conf).active:
        if rules.segmentation in found:
            found[rules.segmentation] = [
                Named(g.segment, getattr(g.name, job.settings.language)) for g in rules.segments
            ]
    return found


# Quality


def runs(ledger: DataFrame, own: str) -> tuple[str, int, tuple[Account, ...]]:
    """The last run that published something, and the accounts by source and target."""
    done = ledger.where(
        F.col("outcome").isin("published", "warned")
        & (F.col("job") != own)
        & (F.size("versions") > 0)
    )
    rows = (
        done.select("job", "unit", "run_seq", "run_id", F.explode_outer("balance").alias("b"))
        .groupBy("job", "unit", F.col("b.target").alias("target"))
        .agg(
            F.max("run_seq").alias("run_seq"),
            F.max_by("run_id", "run_seq").alias("run_id"),
            *(
                F.sum(f"b.{c}").alias(c)
                for c in ("rows_in", "rows_out", "rows_duplicate", "rows_quarantined")
            ),
        )
        .collect()
    )
    if not rows:
        return "", 0, ()
    last = max(rows, key=lambda r: int(r["run_seq"]))
    counted = [
        r for r in rows if r["unit"] and r["target"] is not None and r["target"] != "records"
    ]
    accounts = [
        Account(
            r["unit"],
            r["target"],
            r["rows_in"],
            r["rows_out"],
            r["rows_duplicate"],
            r["rows_quarantined"],
        )
        for r in counted
    ]
    accounts.sort(key=lambda a: (a.source, not a.landing, a.target))
    return last["run_id"], last["run_seq"], tuple(accounts)


def reason_kind(reason: Column) -> Column:
    """What kind of fault a sentence of the quarantine names, without the values it quotes.

    The span from the first to the last quotation mark is left out as a whole: a value may hold
    quotation marks itself, and no part of it may reach the page. So are digits and addresses.
    """
    bare = F.regexp_replace(reason, r"(?s)'.*'", "…")
    bare = F.regexp_replace(bare, r'(?s)".*"', "…")
    bare = F.regexp_replace(bare, r"\S+@\S+", "…")
    return F.regexp_replace(bare, r"\d[\d,.]*", "#")


def refusals(quarantine: DataFrame) -> list[Refusal]:
    """What stands in quarantine by source and kind of reason, most frequent first."""
    rows = (
        quarantine.groupBy("source", reason_kind(F.col("reason")).alias("reason"))
        .agg(
            F.count_if(F.col("status") == "open").alias("open"),
            F.count_if(F.col("status") != "open").alias("replayed"),
        )
        .collect()
    )
    found = [Refusal(r["source"], r["reason"], r["open"], r["replayed"]) for r in rows]
    return sorted(found, key=lambda r: (-r.open - r.replayed, r.source, r.reason))


def quality(accounts: tuple[Account, ...], found: list[Refusal]) -> Quality:
    """Accounts, with the most frequent refusals and how many there are in all."""
    return Quality(
        accounts,
        tuple(found[:TOP_REASONS]),
        sum(r.open for r in found),
        sum(r.replayed for r in found),
    )


def traffic(flags: DataFrame) -> Traffic:
    """Flagged events by source and reason, most frequent first.

    Args:
        flags: silver.event_traffic.
    """
    rows = flags.groupBy("source", "kind", "reasons").count().collect()
    events, kinds = Counter[tuple[str, str]](), Counter[str]()
    for row in rows:
        kinds[row["kind"]] += row["count"]
        for reason in row["reasons"]:
            events[row["source"], reason] += row["count"]
    found = [Flagged(source, reason, n) for (source, reason), n in events.items()]
    found.sort(key=lambda f: (-f.events, f.source, f.reason))
    return Traffic(tuple(found), kinds["invalid"], kinds["not_effective"])
