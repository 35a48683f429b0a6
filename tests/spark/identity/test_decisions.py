"""Decisions of persons, from the file to the links and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.spark.identity.test_resolve import (
    KEY,
    MakeJob,
    check_ledger,
    deliver,
    links,
    node,
    resolve,
)

from lakecdp.explain import explain_lines
from lakecdp.identity.decisions import COLUMNS
from lakecdp.platform.errors import ConfigError

FILE = "conf/decisions/support.csv"
TABLES = ("identity.node", "identity.edge", "identity.link", "identity.change", "identity.decision")


def test_what_a_file_decides_holds_until_it_is_taken_out(make_job: MakeJob, tmp_path: Path) -> None:
    m1, m2 = ("member_id", "m1"), ("member_id", "m2")
    d, p, c = ("device_id", "d"), ("phone", "+49301234567"), ("cookie", "c")
    (tmp_path / "conf" / "decisions").mkdir(parents=True)
    place = tmp_path / FILE
    place.write_text(
        f"{','.join(COLUMNS)}\n"
        "link,phone,+49 30 1234567,member_id,m1,Ana,told us so,2026-01-05\n"
        "unlink,device_id,D,member_id,m1,Ana,sold the phone,2026-01-06\n"
        "block,cookie,c,,,Bo,a test browser,2026-01-07\n"
    )
    job = make_job(conf=tmp_path / "conf", hash={"key": KEY}, phone_region="DE")
    records = [("silver.event", "e1", 1, [m1, d]), ("silver.event", "e2", 2, [d, c])]
    records += [("silver.event", "e3", 3, [p]), ("silver.event", "e4", 4, [m2])]
    deliver(job, records, junk={m1: "m1", m2: "m2", d: "d", p: "+49301234567", c: "c"})
    assert resolve(job) == "published"
    found = links(job)
    assert found[node(m1)] == found[node(p)]
    assert len({found[node(x)] for x in (m1, m2, d, c)}) == 4
    assert list(explain_lines(job, "m1", "+49301234567"))[1:] == [
        "  member_id m1 - phone +49301234567: linked, decided by Ana on 2026-01-05: told us so"
    ]
    assert list(explain_lines(job, "m1", "d"))[1:] == [
        "  member_id m1 - device_id d: web, 2026-01-01/e1, first 2026-01-01 (kept apart: unlink)",
        "  unlink member_id m1 - device_id d: decided by Ana on 2026-01-06: sold the phone",
    ]
    before = {t: job.lake.version(t) for t in TABLES}
    assert resolve(job) == "unchanged"
    assert {t: job.lake.version(t) for t in TABLES} == before

    lines = place.read_text().splitlines()
    place.write_text(
        "\n".join([*lines[:1], "unlink,phone,+49301234567,member_id,m1,Bo,no,2026-02-01"])
    )
    assert resolve(job) == "published"
    found = links(job)
    assert found[node(m1)] == found[node(d)] == found[node(c)] != found[node(p)]
    check_ledger(job)
    held = job.read("identity.decision").where("valid_to IS NULL").collect()
    assert [(r["action"], r["node_a"], r["node_b"], r["author"]) for r in held] == [
        ("unlink", node(m1), node(p), "Bo")
    ]
    gone = job.read("identity.edge").where("status = 'removed'").collect()
    assert [(r["node_a"], r["node_b"], r["source"], r["reason"]) for r in gone] == [
        (node(m1), node(p), "manual", "withdrawn")
    ]

    for wrong, message in (
        ("block,phone,12,,,Bo,no,2026-02-01", r"support.csv:3: '12' is no phone"),
        ("block,cookie,test,,,Bo,no,2026-02-01", r"support.csv:3: 'test' is junk by the rules"),
        ("link,member_id,m1,member_id,m1 ,Bo,no,2026-02-01", r":3: both identifiers are the same"),
    ):
        place.write_text("\n".join([*lines[:2], wrong]))
        with pytest.raises(ConfigError, match=message):
            resolve(job)
