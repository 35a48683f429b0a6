"""Delta tables of others: appended, compacted, rewritten, with and without a change feed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.spark.helpers import overlay, rows, run

from lakecdp.platform.commits import Appended, appended

MAPPING = """
source: shop
delta: {{table: {table}{more}}}
columns:
  id: {{type: string, required: true}}
  at: {{type: timestamp, required: true}}
  price: {{type: "decimal(18,4)"}}
targets:
  - table: order_line
    columns: {{order_id: id, line_id: "'1'", ordered_at: at, unit_price: price}}
"""


@pytest.fixture
def shop(spark, make_job, tmp_path: Path):
    """A table of others, and a function that lands what is new in it."""
    table = tmp_path / "theirs" / "orders"
    kind = "id BIGINT, at TIMESTAMP, price DECIMAL(18,4), day DATE"

    def make(more: str = "", properties: str = "") -> None:
        spark.sql(
            f"CREATE TABLE delta.`{table}` ({kind}) USING delta PARTITIONED BY (day) {properties}"
        )
        overlay(tmp_path / "conf", shop=MAPPING.format(table=table, more=more))

    def sql(text: str) -> None:
        spark.sql(text.format(t=f"delta.`{table}`"))

    def land():
        job = make_job(conf=tmp_path / "conf")
        (summary,) = run(job, "01_bronze/ingest")
        return job, summary

    make.sql, make.land = sql, land
    return make


def ids(job) -> list[int]:
    return sorted(r[0] for r in rows(job.read("bronze.shop").selectExpr("raw:id::int as id"), "id"))


def insert(*numbers: int) -> str:
    values = ", ".join(
        f"({n}, timestamp'2026-01-0{n} 10:00:00.123456', {n}.5, date'2026-01-0{n}')"
        for n in numbers
    )
    return f"INSERT INTO {{t}} VALUES {values}"


def test_appends_land_once_and_compaction_brings_nothing(shop) -> None:
    shop()
    job, empty = shop.land()
    # An empty table is known from then on, so that a later append is not its beginning.
    assert (empty.outcome, empty.rows_in) == ("unchanged", 0)
    shop.sql(insert(1, 2))
    shop.sql(insert(3))
    job, first = shop.land()
    assert (first.outcome, first.rows_in, first.rows_out) == ("published", 3, 3)
    raw = job.read("bronze.shop").where("raw:id::int = 2")
    found = raw.selectExpr(
        "to_json(raw) as raw", "substring_index(file, '@', 1) as file", "line > 0 as l"
    )
    assert rows(found, "raw", "file", "l") == [
        (
            '{"at":"2026-01-02T10:00:00.123456Z","day":"2026-01-02","id":2,"price":2.5}',
            "pull-00000001/orders",
            True,
        )
    ]
    before = dict(job.ledger.published)
    job, same = shop.land()
    assert (same.outcome, job.ledger.published) == ("unchanged", before)

    # Compaction moves rows; one that was appended just before it must be found all the same.
    shop.sql(insert(4))
    shop.sql("OPTIMIZE {t}")
    # A column is gained on the way.
    shop.sql("ALTER TABLE {t} ADD COLUMNS (gift BOOLEAN)")
    shop.sql(insert(5).replace("05')", "05', true)"))
    job, second = shop.land()
    assert (second.rows_in, ids(job)) == (2, [1, 2, 3, 4, 5])
    shop.sql("OPTIMIZE {t}")
    assert shop.land()[1].outcome == "unchanged"
    places = rows(job.read("bronze.shop"), "file", "line")
    assert len(set(places)) == 5

    # Without a change feed or a key nobody can tell what an update changed.
    shop.sql("UPDATE {t} SET price = 9 WHERE id = 1")
    job, failed = shop.land()
    assert failed.outcome == "failed"
    assert "rows were rewritten: turn on delta.enableChangeDataFeed for it" in job.failures[0]
    assert ids(job) == [1, 2, 3, 4, 5]


def test_rewritten_rows_come_by_the_change_feed(shop) -> None:
    shop(properties="TBLPROPERTIES (delta.enableChangeDataFeed = true)")
    shop.sql(insert(1, 2))
    shop.land()
    shop.sql("UPDATE {t} SET price = 9 WHERE id = 1")
    shop.sql("DELETE FROM {t} WHERE id = 2")
    shop.sql(insert(3))
    job, summary = shop.land()
    assert summary.message is not None
    assert re.fullmatch(r"1 deleted rows of \S+/orders stay as they landed", summary.message)
    found = job.read("bronze.shop").selectExpr("raw:id::int as id", "raw:price::double as price")
    assert rows(found, "id", "price") == [(1, 1.5), (1, 9.0), (2, 2.5), (3, 3.5)]


def test_rewritten_rows_are_told_by_a_key(shop) -> None:
    shop(more=", key: id")
    shop.sql(insert(1, 2))
    shop.land()
    shop.sql("UPDATE {t} SET price = 9 WHERE id = 1")
    job, summary = shop.land()
    assert (summary.rows_in, summary.rows_out, summary.rows_duplicate) == (2, 1, 1)
    # Back to what it was: the same content as the first time, and yet news.
    shop.sql("UPDATE {t} SET price = 1.5 WHERE id = 1")
    job, summary = shop.land()
    assert (summary.rows_in, summary.rows_out, summary.rows_duplicate) == (2, 1, 1)
    found = job.read("bronze.shop").selectExpr("raw:id::int as id", "raw:price::double as price")
    assert rows(found, "id", "price") == [(1, 1.5), (1, 1.5), (1, 9.0), (2, 2.5)]


def test_a_batch_that_dies_before_it_publishes_is_read_again(shop, monkeypatch) -> None:
    from lakecdp.platform.ledger import Ledger

    shop()
    shop.sql(insert(1, 2))
    publish = Ledger.publish
    monkeypatch.setattr(Ledger, "publish", _die)
    with pytest.raises(KeyboardInterrupt):
        shop.land()
    monkeypatch.setattr(Ledger, "publish", publish)
    job, summary = shop.land()
    assert (summary.rows_out, ids(job)) == (2, [1, 2])


def _die(*_args) -> None:
    raise KeyboardInterrupt


def test_what_commits_append() -> None:
    add = '{"add":{"path":"%s","dataChange":%s}}'
    remove = '{"remove":{"path":"%s","dataChange":%s}}'
    one = add % ("day=1/a%20b", "true")
    moved = "\n".join([remove % ("day=1/a%20b", "false"), add % ("c", "false")])
    two = add % ("d", "true")
    assert appended([(3, one), (4, moved), (5, two)]) == Appended(
        {3: ["day=1/a b"], 5: ["d"]}, False
    )
    assert appended([(3, one), (4, remove % ("x", "true"))]).rewritten
