"""Landing: every readable record once, everything else kept aside with file, line and reason."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tests.spark.helpers import overlay, rows, run

TILL = """
source: till
files: "till/*.csv*"
format: csv
columns:
  id: {type: string, required: true}
  at: {type: timestamp, required: true}
  price: {type: "decimal(18,4)", required: true}
targets:
  - table: order_line
    columns: {order_id: id, line_id: "'1'", ordered_at: at, unit_price: price}
"""
CLICKS = """
source: clicks
files: "clicks/*.json*"
format: json
columns:
  id: {type: string, required: true}
  at: {type: timestamp, unit: ms, required: true}
targets:
  - table: event
    columns: {event_id: id, event_at: at, event_name: "'page_view'"}
"""
OTHER = """
source: other
files: "other/*.csv"
format: csv
columns: {id: string, gone: string}
targets:
  - table: product
    columns: {product_id: id}
"""
HEAD = b"id,at,price\n"


@pytest.fixture
def landed(make_job, tmp_path: Path):
    """A landing folder with every kind of harm, and a job on it."""
    till, clicks, other = (tmp_path / "landing" / n for n in ("till", "clicks", "other"))
    for folder in (till, clicks, other):
        folder.mkdir(parents=True)
    long = b"L" * (10 << 20)
    (till / "a.csv").write_bytes(
        HEAD
        + b"1,2026-01-01 10:00:00,1.50\n"
        + b"2,2026-01-01\n"
        + b"3,2026-01-01,1.50,4\n"
        + b"4,2026-01-01 \x00,1.50\n"
        + b"5,caf\xe9,1.50\n"
        + b"\n"
        + b'6,"2026-01-02 00:00:00",2.25\r\n'
        + b'"7,2026-01-01,1.50\n'
        + b"8,"
        + long
        + b",1\n"
    )
    (till / "b.csv").write_bytes(b"")
    (till / "c.csv").write_bytes(b"at,price,extra,id\n2026-01-03,3.00,x,9\n")
    packed = gzip.compress(HEAD + b"".join(b"%d,2026-01-04,1.00\n" % i for i in range(100, 3000)))
    (till / "d.csv.gz").write_bytes(packed)
    (till / "e.csv.gz").write_bytes(packed[: len(packed) // 2])
    (till / "f.csv").write_bytes("id,at,price\n1,2026-01-01,1\n".encode("utf-16"))
    (till / "g.csv.tmp").write_bytes(HEAD + b"unfinished")
    (tmp_path / "landing" / "till.txt").write_bytes(b"for nobody")
    (clicks / "a.json").write_bytes(
        b'{"id":"1","at":1767225600000}\n{"id":"2","at":\n[1,2]\n"text"\n{"id":"3","at":1767225600000,"at":1}\n'
    )
    (other / "a.csv").write_bytes(b"id\n1\n")
    conf = overlay(tmp_path / "conf", till=TILL, clicks=CLICKS, other=OTHER)

    def job(name: str = "test"):
        return make_job(name, conf=conf)

    return job


def test_harmed_input_is_kept_aside_and_everything_else_lands(landed, tmp_path: Path) -> None:
    job = landed()
    summaries = {s.unit: s for s in run(job, "01_bronze/ingest")}
    assert job.notes == ["1 of 9 files match no source: till.txt"]
    # Only `other` fails, by name, and says what the file has.
    assert summaries["other"].outcome == "failed"
    assert job.failures == ["source other: other/a.csv has no column gone; it has id"]

    landed_rows = rows(job.read("bronze.till").where("file <> 'till/d.csv.gz'"), "file", "line")
    assert landed_rows == [("till/a.csv", 2), ("till/a.csv", 8), ("till/c.csv", 2)]
    assert job.read("bronze.till").where("file = 'till/d.csv.gz'").count() == 2900

    aside = {
        (r[0], r[1]): r[2] for r in rows(job.read("silver.quarantine"), "file", "line", "reason")
    }
    fields = "the line does not have the 3 fields of the header"
    assert aside[("till/a.csv", 3)] == fields
    assert aside[("till/a.csv", 4)] == fields
    assert aside[("till/a.csv", 5)] == "the record holds a NUL byte"
    assert aside[("till/a.csv", 6)] == "the record is not valid utf-8"
    assert aside[("till/a.csv", 9)] == fields
    assert aside[("till/a.csv", 10)] == "the record is longer than 1,048,576 bytes"
    assert aside[("till/b.csv", 0)] == "the file is empty"
    assert aside[("till/e.csv.gz", 0)].startswith("the file cannot be decompressed")
    assert aside[("till/f.csv", 0)].startswith("the file is UTF-16")
    assert aside[("clicks/a.json", 2)] == "the line is not valid JSON"
    assert aside[("clicks/a.json", 3)] == "the line is JSON but not an object"
    assert aside[("clicks/a.json", 4)] == "the line is JSON but not an object"
    assert aside[("clicks/a.json", 5)] == "the line is not valid JSON"
    assert len(aside) == 13

    raw = job.read("silver.quarantine").where("file = 'till/a.csv' and line in (6, 10)")
    kept = dict(rows(raw, "line", "raw"))
    assert bytes(kept[6]) == b"5,caf\xe9,1.50"
    assert len(kept[10]) == (10 << 20) + 4

    # Rows balance, file by file: till has 2,900 + 8 + 1 records and 3 refused files.
    till = summaries["till"]
    assert (till.rows_in, till.rows_out, till.rows_quarantined) == (2912, 2903, 9)
    files = rows(
        job.read("bronze.landed_file").where("source = 'till'"),
        "file",
        "records",
        "landed",
        "quarantined",
    )
    assert ("till/a.csv", 8, 2, 6) in files
    assert ("till/d.csv.gz", 2900, 2900, 0) in files
    assert till.message == "new column extra (kept in raw), first in till/c.csv"

    # Nothing new: no commit on any table but the ledger.
    before = dict(job.ledger.published)
    again = landed()
    outcomes = {s.unit: s.outcome for s in run(again, "01_bronze/ingest")}
    assert outcomes == {"till": "unchanged", "clicks": "unchanged", "other": "failed"}
    assert again.ledger.published == before
    assert {n: again.lake.version(n) for n in before} == before


def test_replay_takes_in_what_a_repaired_mapping_can_read(landed, tmp_path: Path) -> None:
    from lakecdp.bronze.mapping import load_sources
    from lakecdp.bronze.replay import replay

    job = landed()
    run(job, "01_bronze/ingest")
    (tmp_path / "conf/sources/till.yaml").write_text(
        TILL.replace(
            "columns:", "file: {encoding: latin-1, max_record_bytes: 20000000}\ncolumns:", 1
        )
    )
    again = landed("01_bronze/replay")
    replay(again, load_sources(again.conf, again.settings, "till")[0])
    replayed = again.read("silver.quarantine").where("source = 'till' and status = 'replayed'")
    assert {r[0] for r in rows(replayed.where("line > 0"), "line")} == {6, 10}
    found = (
        again.read("bronze.till")
        .where("file = 'till/a.csv'")
        .selectExpr("line", "left(raw:at::string, 9) as at")
    )
    assert rows(found, "line", "at") == [
        (10, "LLLLLLLLL"),
        (2, "2026-01-0"),
        (6, "café"),
        (8, "2026-01-0"),
    ]


def test_a_landing_that_is_tried_again_is_counted_once(make_job, tmp_path: Path) -> None:
    from lakecdp.bronze.ingest import land, landed_files, new_files, open_files
    from lakecdp.bronze.mapping import load_sources
    from lakecdp.platform.errors import LakecdpError
    from lakecdp.platform.fs import list_files

    for folder in ("till", "clicks"):
        (tmp_path / "landing" / folder).mkdir(parents=True)
    # A trailing delimiter and a name used twice are no reason to refuse a file.
    (tmp_path / "landing/till/a.csv").write_bytes(b"id,at,price,Price,\n1,2026-01-01,1,2,\n,\n")
    (tmp_path / "landing/clicks/a.json").write_bytes(b'{"id":"1","at":1767225600000}\n{\n')
    job = make_job("test", conf=overlay(tmp_path / "conf", till=TILL, clicks=CLICKS))
    present = list_files(job.spark, job.settings.landing)
    known = landed_files(job.read("bronze.landed_file"))
    ready = [
        open_files(job.spark, s, new_files(present, s.mapping, known))
        for s in load_sources(job.conf, job.settings, None)
    ]
    tries = []

    def work(batch) -> None:
        land(batch, ready)
        tries.append(len(batch.at_work))
        if len(batch.at_work) > 1:
            raise LakecdpError("one of them is at fault")

    job.together([x.unit for x in ready], work)
    assert (tries, job.failures) == ([2, 1, 1], [])
    counts = rows(job.read("bronze.landed_file"), "file", "records", "landed", "quarantined")
    assert counts == [("clicks/a.json", 2, 1, 1), ("till/a.csv", 2, 1, 1)]
    assert job.read("bronze.till").selectExpr("to_json(raw)").first()[0] == (
        '{"Price_2":"2","at":"2026-01-01","column_5":null,"id":"1","price":"1"}'
    )
