"""Tables of a real PostgreSQL: equal and late watermarks, blanks, updates, secrets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.spark.helpers import overlay, rows, run

MAPPING = """
source: crm
jdbc:
  url_env: CRM_URL
  table: {table}
  key: id
{more}
columns:
  id: {{type: bigint, required: true}}
  at: {{type: timestamp}}
  email: string
personal: [email]
identifiers: {{email: email}}
targets:
  - table: attribute
    columns: {{observed_at: "coalesce(at, timestamp'2026-01-01')"}}
    attributes: {{seen: "'yes'"}}
"""
BY_TIME = "  watermark: at\n  overlap: 10m\n"


@pytest.fixture
def crm(spark, postgres, make_job, tmp_path: Path, monkeypatch):
    """A connection to a fresh table, and a function that lands what is new in it."""
    monkeypatch.setenv("CRM_URL", postgres)
    manager = spark._jvm.java.sql.DriverManager
    connections = []

    class Crm:
        def connect(self):
            connections.append(manager.getConnection(postgres))
            return connections[-1]

        def sql(self, text: str) -> None:
            statement = self.own.createStatement()
            statement.execute(text)
            statement.close()

        def table(self, kind: str = "timestamptz", more: str = BY_TIME) -> None:
            self.own = self.connect()
            self.sql("DROP TABLE IF EXISTS customers")
            self.sql(f"CREATE TABLE customers (id bigint, at {kind}, email text)")
            overlay(tmp_path / "conf", crm=MAPPING.format(table="customers", more=more))

        def land(self):
            self.job = make_job(conf=tmp_path / "conf")
            (summary,) = run(self.job, "01_bronze/ingest")
            return summary

        def landed(self) -> Counter:
            found = self.job.read("bronze.crm").selectExpr(
                "raw:id::int as id", "raw:email::string as email"
            )
            return Counter(rows(found, "id", "email"))

    yield Crm()
    for connection in connections:
        connection.close()


def test_equal_late_blank_and_changed_rows_land_once_each(crm) -> None:
    crm.table()
    crm.sql("SET TIME ZONE 'Asia/Shanghai'")
    crm.sql(
        "INSERT INTO customers VALUES (1, '2026-03-01 10:00:00.000001+00', 'a'), "
        "(2, '2026-03-01 10:00:00.000002+00', 'b'), (3, NULL, 'c')"
    )
    # A transaction that began before the pull and commits after it: its watermark is late.
    slow = crm.connect()
    slow.setAutoCommit(False)
    late = slow.createStatement()
    late.execute("INSERT INTO customers VALUES (4, '2026-03-01 09:55:00+00', 'd')")
    first = crm.land()
    assert (first.rows_in, first.rows_out, first.rows_duplicate) == (3, 3, 0)
    slow.commit()
    # Equal to the highest watermark, later than it, and one that changed and has no watermark.
    crm.sql(
        "INSERT INTO customers VALUES (5, '2026-03-01 10:00:00.000002+00', 'e'), "
        "(6, '2026-03-02 00:00:00+00', 'f')"
    )
    crm.sql("UPDATE customers SET email = 'cc' WHERE id = 3")
    second = crm.land()
    # 1 and 2 were read again; 3 has changed.
    assert (second.rows_in, second.rows_out, second.rows_duplicate) == (6, 4, 2)
    want = {(1, "a"), (2, "b"), (3, "c"), (3, "cc"), (4, "d"), (5, "e"), (6, "f")}
    assert crm.landed() == Counter(want)
    raw = crm.job.read("bronze.crm").where("raw:id::int = 1").selectExpr("to_json(raw) as raw")
    assert rows(raw, "raw") == [('{"at":"2026-03-01T10:00:00.000001Z","email":"a","id":1}',)]

    before = dict(crm.job.ledger.published)
    versions = {n: crm.job.lake.version(n) for n in before}
    third = crm.land()
    assert (third.outcome, crm.job.ledger.published) == ("unchanged", before)
    assert {n: crm.job.lake.version(n) for n in before} == versions
    # Beyond the overlap of ten minutes nobody looks: the price of a watermark, told in the docs.
    crm.sql("INSERT INTO customers VALUES (7, '2026-03-01 23:49:00+00', 'g')")
    crm.sql("INSERT INTO customers VALUES (8, '2026-03-01 23:51:00+00', 'h')")
    crm.land()
    assert crm.landed() == Counter(want | {(8, "h")})


def test_a_pull_that_dies_is_made_again(crm, monkeypatch) -> None:
    from lakecdp.platform.ledger import Ledger

    crm.table("bigint", "  watermark: at\n  overlap: 2\n  partitions: 2\n")
    crm.sql("INSERT INTO customers SELECT n, n, 'x' || n FROM generate_series(1, 10) n")
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "publish", _die)
        with pytest.raises(KeyboardInterrupt):
            crm.land()
    crm.sql("INSERT INTO customers VALUES (11, 11, 'x11'), (12, 9, 'x12')")
    assert crm.land().rows_out == 12
    crm.sql("INSERT INTO customers VALUES (13, 12, 'x13')")
    assert crm.land().rows_out == 1
    assert crm.landed() == Counter({(n, f"x{n}") for n in range(1, 14)})
    places = rows(crm.job.read("bronze.crm"), "file", "line")
    assert places[:2] == [("pull-00000001/customers", 1), ("pull-00000001/customers", 10)]
    assert len(set(places)) == 13


def _die(*_args) -> None:
    raise KeyboardInterrupt


def test_a_table_without_a_watermark_is_compared(crm) -> None:
    crm.table("timestamp", "")
    crm.sql("INSERT INTO customers VALUES (1, '2026-03-01 10:00:00', 'a'), (2, NULL, 'b')")
    assert crm.land().rows_out == 2
    for email in ("aa", "a"):
        crm.sql(f"UPDATE customers SET email = '{email}' WHERE id = 1")
        summary = crm.land()
        assert (summary.rows_in, summary.rows_out, summary.rows_duplicate) == (2, 1, 1)
    assert crm.landed() == Counter({(1, "a"): 2, (1, "aa"): 1, (2, "b"): 1})

    # A key that does not tell rows apart is refused; so are missing tables and variables, by name.
    crm.sql("INSERT INTO customers VALUES (1, NULL, 'other')")
    crm.land()
    assert "the key id does not tell rows apart: 2 different rows" in crm.job.failures[0]
    crm.sql("DROP TABLE customers")
    crm.land()
    assert (
        'source crm: table customers: ERROR: relation "customers" does not exist'
        in (crm.job.failures[0])
    )


def test_what_is_wrong_is_said_without_the_secret(crm, monkeypatch) -> None:
    crm.table("double precision")
    crm.sql("INSERT INTO customers VALUES (1, 1, 'a')")
    crm.land()
    assert "the watermark at is of type double; take a column of times" in crm.job.failures[0]
    monkeypatch.setenv("CRM_URL", "jdbc:nosuch://secret-host/db")
    crm.land()
    assert "no JDBC driver for its URL is on the class path" in crm.job.failures[0]
    assert "secret-host" not in crm.job.failures[0]
    monkeypatch.delenv("CRM_URL")
    crm.land()
    assert crm.job.failures == ["source crm: the environment variable CRM_URL is not set"]
