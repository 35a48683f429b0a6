"""The report job on a lake: figures against DuckDB on the same rows, and when a page is written."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from runpy import run_path
from typing import Any

import duckdb
import pytest
from pyspark.sql import DataFrame, SparkSession

from lakecdp import contracts
from lakecdp.insight import coverage, report
from lakecdp.insight.figures import Report
from lakecdp.insight.shelf import Shelf
from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.job import Job

JOB = Path(__file__).parents[3] / "jobs" / "08_measurement" / "report.py"
DAY = date(2026, 11, 11)
FIRST = date(2026, 3, 4)
NOW = datetime(2026, 1, 1)  # noqa: DTZ001 - the session's zone is UTC
CHANNELS = ["web", "store"]
TAGS = ["gender", "region", "value_tier"]

# table -> the columns that the report reads
COLUMNS = {
    "silver.order": "order_id order_date channel kind currency amount product_amount owner_node "
    "categories exchange_rate reporting_amount reporting_product_amount reporting_margin",
    "silver.order_line": "order_id line_id item_type line_type product_id product_name quantity "
    "amount",
    "silver.return": "order_id order_date amount sale_line_id",
    "silver.quarantine": "source line reason status",
    "silver.event_traffic": "source kind reasons",
    "identity.link": "node_id customer_id valid_from valid_to",
    "identity.node": "node_id type status",
    "gold.node_day": "day node_id",
    "gold.customer_feature": "customer_id orders order_days amount amount_365d",
    "gold.segment": "customer_id segmentation segment valid_to",
    "gold.score": "customer_id model model_version as_of score",
}


def money(rng: random.Random, high: int) -> Decimal:
    return Decimal(rng.randint(1, high * 100)) / 100


def company() -> dict[str, list[tuple[Any, ...]]]:
    """Rows of all tables: two channels, returns, other currencies, orders after the run date."""
    rng = random.Random(7)
    rows: dict[str, list[tuple[Any, ...]]] = {t: [] for t in [*COLUMNS, "gold.tag_matrix"]}
    for i in range(700):
        kind = rng.choices(["sale", "cancellation", "adjustment", "void"], [84, 11, 3, 2])[0]
        sign = 1 if kind == "sale" or i % 7 == 0 else -1
        lines = [(f"p{rng.randint(1, 14):02}", money(rng, 90) * sign) for _ in range(2)]
        exchange = kind == "sale" and i % 9 == 0
        if exchange:
            product, amount = lines[1]
            lines[1] = (product, amount * rng.choice((1, -1)))
        fee = money(rng, 9)
        day = FIRST + timedelta(days=int(rng.triangular(0, 262, 262)))
        made = [("tea", Decimal(1), lines[0][1]), ("pots", Decimal(2), lines[1][1])]
        total = lines[0][1] + lines[1][1]
        currency = ("CNY" if i % 11 else "HKD") if i % 50 else "USD"
        rate = {"CNY": Decimal(1), "HKD": Decimal("0.5"), "USD": None}[currency]
        known = (rate, total + fee, total) if rate else (None, None, None)
        margin = total / 4 if rate and i % 4 and kind in ("sale", "cancellation") else None
        rows["silver.order"].append(
            (f"o{i}", day, rng.choice(CHANNELS), kind, currency, total + fee, total,
             rng.randint(1, 60) if rng.random() < 0.8 else None, made, *known, margin)
        )  # fmt: skip
        for n, (product, amount) in enumerate(lines):
            item = (
                f"o{i}",
                str(n),
                "product",
                "cancellation" if exchange and n else kind,
                product,
                f"Product {product}",
                Decimal(n + 1),
                amount,
            )
            rows["silver.order_line"].append(item)
        rows["silver.order_line"].append(
            (f"o{i}", "fee", "fee", kind, "fee", "Fee", Decimal(1), fee)
        )
        if exchange:
            rows["silver.return"].append((f"o{i}", day, abs(lines[1][1]), "0"))
        if kind == "cancellation":
            rows["silver.return"].append((f"o{i}", day, abs(total), "0" if i % 3 else ""))
    for node in range(1, 56):
        rows["identity.link"].append((node, 1000 + node % 30, NOW, None))
        rows["identity.link"].append((node, 2000 + node, NOW - timedelta(days=9), NOW))
        for _ in range(3):
            rows["gold.node_day"].append((DAY - timedelta(days=rng.randint(-3, 80)), node))
    # Devices that persons share count for nobody; a telephone over its limit is nobody's but its own.
    rows["identity.node"] = [(7, "device_id", "shared"), (19, "cookie", "limit")]
    rows["identity.node"] += [(8, "phone", "limit"), (9, "device_id", "active")]
    rows["gold.node_day"] = sorted(set(rows["gold.node_day"]))
    for c in range(1000, 1030):
        bought = c % 5
        spent = money(rng, 900) if bought else Decimal(0)
        rows["gold.customer_feature"].append((c, bought, min(bought, c % 3 + 1), spent, spent / 2))
        rows["gold.segment"].append((c, "lifecycle", "repeat" if bought > 1 else "own_stage", None))
        rows["gold.segment"].append((c, "lifecycle", "churned", DAY))
        rows["gold.segment"].append((c, "another", "x", None))
        if bought:
            rows["gold.segment"].append((c, "rfm", ["high", "lost"][c % 2], None))
        if c % 4:
            rows["gold.score"].append((c, "churn", "3", DAY, [0.0, 0.5, 1.0, rng.random()][c % 4]))
            rows["gold.score"].append((c, "other", "9", DAY, 0.9))
        gender = ["female", "unknown", "male"][min(c % 5, 2)]
        region = "unknown" if c > 1006 else "far" if c < 1004 else "near"
        rows["gold.tag_matrix"].append((c, Decimal(c % 4) / 4, gender, region, f"v{c % 6}"))
    reasons = [
        "qty: 'a' is not of type int",
        "qty: 'it's 5' is not of type int",
        "phone 13800138000 is bad",
    ]
    for i in range(9):
        rows["silver.quarantine"].append(
            ("pos", i, reasons[i % 3], "replayed" if i == 8 else "open")
        )
    rows["silver.event_traffic"] = [
        *[("web", "invalid", ["crawler", "datacentre"])] * 5,
        *[("web", "invalid", ["crawler"])] * 2,
        *[("app", "not_effective", ["short_view"])] * 6,
        ("web", "invalid", ["rate", "short_view"]),
    ]
    return rows


def as_placed(rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """The same rows with the amounts of Hong Kong in its own dollars, which are worth a half."""
    out = dict(rows)
    there = {r[0] for r in rows["silver.order"] if r[4] == "HKD"}

    def doubled(row: tuple[Any, ...], *places: int) -> tuple[Any, ...]:
        return tuple(v * 2 if i in places else v for i, v in enumerate(row))

    for table, places in (("silver.order_line", [7]), ("silver.return", [2])):
        out[table] = [doubled(r, *places) if r[0] in there else r for r in rows[table]]
    out["silver.order"] = [
        (*doubled(r, 5, 6)[:8], [(c, n, 2 * a) for c, n, a in r[8]], *r[9:]) if r[0] in there else r
        for r in rows["silver.order"]
    ]
    return out


def frames(spark: SparkSession, rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, DataFrame]:
    """The rows as tables, with a ledger in which the source `pos` has landed."""
    found = {}
    for table, given in rows.items():
        types = {c.name: c.type for c in contracts.table(table).columns}
        names = COLUMNS.get(table, f"customer_id completeness {' '.join(TAGS)}").split()
        schema = ", ".join(f"{n} {types.get(n, 'STRING')}" for n in names)
        found[table] = spark.createDataFrame(given, schema).coalesce(1)
    ledger = (
        "run_seq BIGINT, run_id STRING, job STRING, unit STRING, outcome STRING, "
        "versions MAP<STRING, BIGINT>, balance ARRAY<STRUCT<target: STRING, rows_in: BIGINT, "
        "rows_out: BIGINT, rows_duplicate: BIGINT, rows_quarantined: BIGINT>>"
    )
    one = [("bronze.pos", 50, 46, 0, 4)]
    two = [("bronze.pos", 50, 45, 0, 5), ("records", 5, 5, 0, 0), ("silver.order", 91, 80, 11, 0)]
    batches = [
        (1, "r1", "01_bronze/ingest", "pos", "published", {"a": 1}, one),
        (2, "r2", "01_bronze/ingest", "pos", "warned", {"a": 2}, two),
        (3, "r3", "04_tags/features", "", "published", {"b": 2}, []),
        (4, "r4", "01_bronze/ingest", "pos", "failed", {"a": 3}, one),
        (5, "r5", "04_tags/tag", "", "published", {}, []),
    ]
    return found | {"operations.run": spark.createDataFrame(batches, ledger)}


@contextmanager
def oracle(rows: dict[str, list[tuple[Any, ...]]]) -> Iterator[Callable[[str], list[Any]]]:
    """DuckDB with the same rows; amounts as whole hundredths, so that sums are exact."""
    with duckdb.connect() as con:
        for table, given in rows.items():
            names = COLUMNS.get(table, f"customer_id completeness {' '.join(TAGS)}").split()
            keep = [i for i, n in enumerate(names) if n not in ("categories", "valid_from")]
            kinds = {
                "day": "DATE",
                "order_date": "DATE",
                "score": "DOUBLE",
                "valid_to": "TIMESTAMP",
            }
            whole = (
                "node",
                "amount",
                "quantity",
                "orders",
                "order_days",
                "customer_id",
                "completeness",
                "margin",
            )
            typed = [
                kinds.get(n, "DECIMAL(28,4)" if any(w in n for w in whole) else "VARCHAR")
                for n in names
            ]
            name = table.split(".")[1]
            con.execute(
                f'CREATE TABLE "{name}" ({", ".join(f"{names[i]} {typed[i]}" for i in keep)})'
            )
            marks = ", ".join("?" for _ in keep)
            con.executemany(
                f'INSERT INTO "{name}" VALUES ({marks})', [[r[i] for i in keep] for r in given]
            )
        con.execute(
            f"""CREATE VIEW o AS SELECT o.*, l.customer_id FROM "order" o
            LEFT JOIN (SELECT * FROM link WHERE valid_to IS NULL AND node_id NOT IN (7, 19)) l
            ON o.owner_node = l.node_id
            WHERE order_date <= DATE '{DAY}' AND currency <> 'USD' AND kind <> 'void'"""
        )
        con.execute(
            """CREATE VIEW gross AS SELECT o.* REPLACE (o.amount - coalesce(b.amount, 0) AS amount),
            b.size FROM o LEFT JOIN (SELECT order_id, sum(l.amount) amount, sum(abs(l.amount)) size
            FROM order_line l JOIN o USING (order_id) WHERE line_type = 'cancellation'
            AND kind = 'sale' GROUP BY 1) b USING (order_id)"""
        )
        yield lambda text: con.execute(text).fetchall()


def test_figures(make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = company()
    job = make_job("08_measurement/report", run_date=DAY)
    # Coverage has tests of its own.
    nothing = {t: job.lake.empty_of(t) for t in coverage.TABLES}
    monkeypatch.setattr(job, "read", (frames(job.spark, as_placed(rows)) | nothing).__getitem__)
    found = report.collect(job)
    with oracle(rows) as ask:
        check_sales(found, ask)
        check_cohorts(found, ask)
        check_sellers(found, ask)
        check_customers(found, ask)
        check_tags(found, ask)
    q = found.quality
    assert [
        (a.source, a.target, a.rows_in, a.rows_out, a.duplicate, a.quarantined) for a in q.accounts
    ] == [
        ("pos", "bronze.pos", 100, 91, 0, 9),
        ("pos", "silver.order", 91, 80, 11, 0),
    ]
    assert [(r.reason, r.open, r.replayed) for r in q.refusals] == [
        ("qty: … is not of type int", 6, 0),
        ("phone # is bad", 2, 1),
    ]
    assert (q.open, q.replayed, q.landed) == (8, 1, 100)
    assert (found.run_id, found.run_seq) == ("r3", 3)
    t = found.traffic
    assert (t.invalid, t.not_effective) == (8, 6)
    assert [(f.source, f.reason, f.events) for f in t.reasons] == [
        ("web", "crawler", 7), ("app", "short_view", 6), ("web", "datacentre", 5),
        ("web", "rate", 1), ("web", "short_view", 1),
    ]  # fmt: skip


def check_sales(found: Any, ask: Callable[[str], list[Any]]) -> None:
    s = found.sales
    [(first, last, amount, returns, returned, adjusted)] = ask(
        """SELECT min(order_date), max(order_date), sum(amount) FILTER (kind = 'sale'),
        count(*) FILTER (kind = 'cancellation' OR size > 0),
        sum(abs(amount)) FILTER (kind = 'cancellation') + sum(size),
        sum(amount) FILTER (kind = 'adjustment') FROM gross"""
    )
    assert (s.first, s.last, s.amount, s.returns, s.returned, s.adjusted) == (
        first, last, amount, returns, returned, adjusted,
    )  # fmt: skip
    assert s.net == amount - returned + adjusted
    known = ask(
        """SELECT sum(r.amount) FILTER (sale_line_id <> '') / sum(r.amount) FROM "return" r
        JOIN o USING (order_id)"""
    )
    assert s.traced == pytest.approx(float(known[0][0]))
    gained = ask(
        """SELECT sum(reporting_margin), sum(reporting_product_amount) FROM o
        WHERE reporting_margin IS NOT NULL AND kind IN ('sale', 'cancellation')"""
    )
    assert (s.margin, s.costed) == gained[0]
    channels = ask(
        """SELECT channel, count(*), sum(amount), count(*) FILTER (customer_id IS NULL),
        sum(amount) FILTER (customer_id IS NULL) FROM gross WHERE kind = 'sale'
        GROUP BY 1 ORDER BY 3 DESC"""
    )
    assert [
        (c.name, c.orders, c.amount, c.anonymous_orders, c.anonymous_amount) for c in s.channels
    ] == channels
    assert s.identified == pytest.approx(float(1 - sum(c[4] for c in channels) / amount))
    weekly = ask(
        """SELECT date_trunc('week', order_date)::DATE, channel, count(*) FILTER (kind = 'sale'),
        coalesce(sum(amount) FILTER (kind = 'sale'), 0) FROM gross GROUP BY 1, 2
        HAVING count(*) FILTER (kind = 'sale') > 0"""
    )
    assert {(w.monday, c, w.orders[c], w.amount[c]) for w in s.weeks for c in w.orders} == set(
        weekly
    )
    assert sum(w.returned for w in s.weeks) == returned
    assert [b.monday - a.monday for a, b in zip(s.weeks, s.weeks[1:], strict=False)] == [
        timedelta(7)
    ] * (len(s.weeks) - 1)
    left = ask(
        f"""SELECT count(*) FROM "order" WHERE currency = 'USD' AND order_date <= DATE '{DAY}'
        AND kind <> 'void'"""
    )
    assert s.foreign == {"USD": left[0][0]}


def check_cohorts(found: Any, ask: Callable[[str], list[Any]]) -> None:
    cells = ask(
        """WITH m AS (SELECT DISTINCT customer_id c, date_trunc('month', order_date) m FROM o
        WHERE kind = 'sale' AND customer_id IS NOT NULL),
        f AS (SELECT c, min(m) f FROM m GROUP BY c)
        SELECT f::DATE, datediff('month', f, m), count(*) FROM m JOIN f USING (c) GROUP BY 1, 2"""
    )
    given = {(c.month, 0, c.customers) for c in found.cohorts if c.customers}
    given |= {(c.month, k, n) for c in found.cohorts for k, n in enumerate(c.bought, 1) if n}
    assert given == set(cells)
    march, november = found.cohorts[0], found.cohorts[-1]
    assert (march.month, march.censored, march.running) == (date(2026, 3, 1), True, 8)
    assert len(march.bought) == 8
    assert (november.month, november.censored, set(november.bought)) == (
        date(2026, 11, 1),
        False,
        {None},
    )


def check_sellers(found: Any, ask: Callable[[str], list[Any]]) -> None:
    top = ask(
        f"""SELECT product_name, sum(quantity) FILTER (recent), sum(l.amount) FILTER (recent) AS a,
        sum(l.amount) FILTER (NOT recent), sum(a) OVER ()
        FROM (SELECT *, order_date > DATE '{DAY}' - 90 AS recent FROM o
              WHERE kind = 'sale' AND order_date > DATE '{DAY}' - 180) o
        JOIN order_line l USING (order_id)
        WHERE item_type = 'product' AND line_type = 'sale' GROUP BY 1 ORDER BY a DESC LIMIT 10"""
    )
    assert [(p.name, p.units, p.amount, p.before) for p in found.products] == [t[:4] for t in top]
    assert [p.part for p in found.products] == pytest.approx([float(t[2] / t[4]) for t in top])
    tea = ask(
        f"""SELECT sum(l.amount) FROM o JOIN order_line l USING (order_id) WHERE kind = 'sale'
        AND line_id = '0' AND order_date > DATE '{DAY}' - 90"""
    )
    assert {c.name: c.amount for c in found.categories}["tea"] == tea[0][0]
    assert sum(c.part for c in found.categories) == pytest.approx(1)


def check_customers(found: Any, ask: Callable[[str], list[Any]]) -> None:
    active = ask(
        f"""SELECT count(DISTINCT customer_id),
        count(DISTINCT customer_id) FILTER (day BETWEEN DATE '{DAY}' - 29 AND DATE '{DAY}'),
        count(DISTINCT customer_id) FILTER (day BETWEEN DATE '{DAY}' - 59 AND DATE '{DAY}' - 30)
        FROM (SELECT * FROM link WHERE valid_to IS NULL)
        LEFT JOIN (SELECT * FROM node_day WHERE node_id NOT IN (7, 19)) USING (node_id)"""
    )
    a = found.activity
    assert (a.customers, a.active, a.before) == active[0]
    assert 0 < a.active < a.customers
    groups = ask(
        """SELECT segmentation, segment, count(*), sum(amount) FROM segment JOIN customer_feature
        USING (customer_id) WHERE valid_to IS NULL AND segmentation IN ('rfm', 'lifecycle')
        GROUP BY 1, 2"""
    )
    both = (("lifecycle", found.lifecycle), ("rfm", found.tiers))
    assert {
        (s, g.segment.key, g.customers, g.amount) for s, x in both for g in x.groups if g.customers
    } == set(groups)
    assert found.lifecycle.groups[-1].segment.name == "own_stage"
    assert found.tiers.groups[0].segment.name == "High value"
    buyers = ask("SELECT count_if(orders > 0), count_if(order_days > 1) FROM customer_feature")
    assert (found.buyers.customers, found.buyers.repeat) == buyers[0]
    bins = ask(
        "SELECT least(floor(score * 10), 9)::INT, count(*) FROM score "
        "WHERE model = 'churn' GROUP BY 1"
    )
    assert {i: n for i, n in enumerate(found.churn.bins) if n} == dict(bins)
    mean = ask("SELECT avg(score) FROM score WHERE model = 'churn'")
    assert found.churn.mean == pytest.approx(mean[0][0])
    assert (found.churn.version, found.churn.as_of) == ("3", DAY)
    risks = ask(
        """SELECT coalesce(segment, ''), count(*), count(*) FILTER (score >= 0.5),
        coalesce(sum(amount_365d) FILTER (score >= 0.5), 0) FROM
        (SELECT * FROM score WHERE model = 'churn')
        JOIN customer_feature USING (customer_id)
        LEFT JOIN (SELECT * FROM segment WHERE segmentation = 'rfm') USING (customer_id)
        GROUP BY 1"""
    )
    assert {
        (r.tier.key, r.scored, r.at_risk, r.amount_at_risk) for r in found.churn.risks if r.scored
    } == set(risks)


def check_tags(found: Any, ask: Callable[[str], list[Any]]) -> None:
    tags = {t.tag.key: t for t in found.tags.tags}
    assert list(tags) == TAGS
    for name, t in tags.items():
        [(customers, known, values)] = ask(
            f"""SELECT count(*), count(*) FILTER ({name} <> 'unknown'),
            count(DISTINCT {name}) FILTER ({name} <> 'unknown') FROM tag_matrix"""
        )
        assert (t.customers, t.known, t.values) == (customers, known, values)
    assert tags["gender"].top == (("male", 18), ("female", 6))
    assert tags["region"].top == ()  # 4 far and 3 near: too few to be shown
    assert tags["value_tier"].top == (("v0", 5), ("v1", 5), ("v2", 5))
    mean = ask("SELECT avg(completeness) FROM tag_matrix")
    assert found.tags.completeness == pytest.approx(mean[0][0])


def test_page_is_written_when_there_is_something_to_say(
    make_job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_path(str(JOB))["run"]
    pages = tmp_path / "reports"

    def go(**settings: Any) -> tuple[bool, Job]:
        job = make_job("08_measurement/report", run_date=settings.pop("run_date", DAY), **settings)
        before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in pages.glob("*.html")}
        run(job)
        job.ledger.flush()
        assert not list(pages.glob(".*"))
        after = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in pages.glob("*.html")}
        assert job.summaries[-1].outcome == ("unchanged" if before == after else "published")
        return before != after, job

    page, latest = pages / f"lotus-lamb-{DAY}.html", pages / "latest.html"
    assert go()[0]  # an empty lake
    empty = page.read_bytes()
    assert b"No data yet" in empty
    assert latest.read_bytes() == empty
    assert not go()[0]
    page.unlink()
    assert go()[0]  # gone by hand
    assert page.read_bytes() == empty
    with (job := make_job("05_segments/segment", run_date=DAY)).batch(
        outputs=["identity.link"]
    ) as b:
        link = "1L AS node_id, 2L AS customer_id, TIMESTAMP'2026-01-01' AS valid_from"
        b.append("identity.link", job.spark.sql(f"SELECT {link}, NULL AS valid_to"))
    changed, job = go()
    assert changed
    assert job.summaries[-1].message == f"the report is at {page}"
    text = page.read_text()
    assert "No data yet" in text
    assert '<dd class="value">1</dd>' in text
    assert not go()[0]
    real = Report("Shop", "CNY", "zh", DAY, "", 0, {})
    monkeypatch.setattr(report, "collect", lambda job: replace(real, run_date=job.run_date))
    assert go(language="zh")[0]
    assert "主要发现" in latest.read_text()
    assert go(run_date=DAY + timedelta(days=1), language="zh")[0]
    assert (
        pages / f"lotus-lamb-{DAY + timedelta(days=1)}.html"
    ).read_bytes() == latest.read_bytes()


def test_pages_go_to_any_file_system(make_job: Callable[..., Job], tmp_path: Path) -> None:
    job = make_job("08_measurement/report")
    job.spark.conf.set("fs.viewfs.mounttable.shop.link./pages", f"file://{tmp_path}/far")
    (tmp_path / "far").mkdir()
    shelf = Shelf(job.spark, "viewfs://shop/pages", "a.html")
    assert not shelf.complete()
    shelf.put("first")
    shelf.put("第二")
    assert shelf.complete()
    assert (tmp_path / "far" / "a.html").read_text() == "第二"
    assert (tmp_path / "far" / "latest.html").read_text() == "第二"
    (tmp_path / "file").write_text("")
    with pytest.raises(LakecdpError, match=r"^The report cannot be written to .*/file/x/a.html: "):
        Shelf(job.spark, str(tmp_path / "file" / "x"), "a.html").put("")
