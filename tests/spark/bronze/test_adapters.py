"""Every shipped adapter on a file as its system writes it, against rows worked out by hand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.spark.helpers import rows, run

from lakecdp.platform.settings import Conf
from lakecdp.sourcecheck import check_lines

DATA = Path(__file__).parents[2] / "data" / "adapters"
ADAPTERS = sorted(p.stem for p in Conf().folder("adapters"))

# Columns, then rows between bars; identifiers by type and clear value.
EXPECTED = {
    p.stem: p.read_text().splitlines() for p in (DATA.parent / "adapter_rows").glob("*.txt")
}
ASIDE = [
    ("access_log", 7, "bronze"),
    ("campaign_touches", 8, "silver.touch"),
    ("industry_index", 4, "silver"),
    ("product_costs", 6, "silver"),
    ("product_costs", 7, "silver.product_cost"),
    ("product_reviews", 4, "silver.review"),
    ("service_contacts", 5, "silver.contact"),
    ("surveys", 2, "silver.survey_answer"),
    ("surveys", 3, "silver"),
]


LINKED = (
    "5 of 7 records would link to identifiers in the lake (2 customers; limits and vetoes of "
    "conf/identity.yaml come after)"
)


@pytest.fixture
def in_china(tmp_path: Path):
    """Settings of a Chinese company that uses some adapters."""

    def conf(*names: str) -> Path:
        folder = tmp_path / "conf"
        folder.mkdir(exist_ok=True)
        (folder / "demo.yaml").write_text(
            f"currency: CNY\nphone_region: CN\nsources: [{', '.join(names)}]\nhash: {{key: test}}\n"
        )
        return folder

    return conf


def as_lines(job: Any, table: str, columns: str, clear: dict[int, str]) -> list[str]:
    """Rows as they are written above: columns between bars, identifiers in clear."""
    frame = job.read(f"silver.{table}").selectExpr(*_parts(columns))

    def text(value: Any) -> str:
        if isinstance(value, list):
            return ", ".join(clear[i["node_id"]] for i in value)
        return "" if value is None else str(value)

    texts = frame.select(
        *[
            f"`{n}`" if t.startswith("array") else frame[f"`{n}`"].cast("string")
            for n, t in frame.dtypes
        ]
    )
    return sorted("|".join(text(v) for v in r) for r in texts.collect())


def _parts(columns: str) -> list[str]:
    """The expressions of a list, apart at the commas that are not in brackets."""
    parts, depth = [""], 0
    for ch in columns:
        depth += {"(": 1, ")": -1}.get(ch, 0)
        if ch == "," and not depth:
            parts.append("")
        else:
            parts[-1] += ch
    return [f"{p.strip()} AS c{i}" for i, p in enumerate(parts)]


def test_every_adapter_gives_the_rows_that_its_file_means(
    make_job, in_china, tmp_path: Path
) -> None:
    assert {p.name for p in DATA.iterdir()} == set(ADAPTERS)
    shutil.copytree(DATA, tmp_path / "landing")
    job = make_job("test", conf=in_china(*ADAPTERS))
    told = {s.unit: s.message for s in run(job, "01_bronze/ingest")}
    run(job, "02_silver/conform")
    assert (job.failures, job.notes) == ([], [])
    assert told["ga4_events"] == (
        "new fields device.category, ecommerce.total_item_quantity, event_date, items[].coupon, "
        "stream_id (kept in raw)"
    )
    assert told["baidu_tongji"].startswith("new column 访客类型 (kept in raw)")
    known = job.read("silver.identifier").collect()
    clear = {r["node_id"]: f"{r['type']} {r['value']}" for r in known}
    found = {t: as_lines(job, t, columns, clear) for t, (columns, *_) in EXPECTED.items()}
    assert found == {t: sorted(lines) for t, (_, *lines) in EXPECTED.items()}
    aside = rows(job.read("silver.quarantine"), "source", "line", "target")
    assert aside == sorted(ASIDE)


def test_a_mapping_is_checked_against_files_and_lake(make_job, in_china, tmp_path: Path) -> None:
    shutil.copytree(DATA / "crm_members", tmp_path / "landing/crm_members")
    job = make_job("test", conf=in_china("crm_members"))
    for name in ("01_bronze/ingest", "02_silver/conform", "03_identity/resolve"):
        run(job, name)
    before = dict(job.ledger.published)

    def checked(given: str, path: Path, with_lake: bool = True) -> list[str]:
        known = job if with_lake else None
        return list(check_lines(job.spark, job.conf, job.settings, given, str(path), known))

    told = checked("campaign_touches", DATA)
    text = "\n".join(told)
    assert told[0].endswith("campaign_touches.yaml): 1 files, 7 records")
    assert told[1] == "  20 other files are not taken."
    assert told[2] == "  7 fit, 0 do not, 0 cannot be read"
    columns = {x.split()[0]: x.split()[1:] for x in told[4:17]}
    assert columns["at"] == ["timestamp", "timestamp", "100.0", "%", "2026-02-01", "10:00:00"]
    assert columns["cost"] == ["decimal(18,4)", "decimal", "28.6", "%", "0.001"]
    assert columns["phone"] == ["string", "bigint", "57.1", "%", "99999999999"]
    assert columns["email"][-1] == "aaa.aa@aaaa.aa"
    for clear in ("13912340001", "lei.li", "M2001"):
        assert clear not in text
    tables = {x.split()[0]: " ".join(x.split()[1:]) for x in told if x.startswith("  silver.")}
    assert tables == {"silver.touch": "5 rows, 1 duplicates, 1 refused"}
    start = told.index("Identifiers: 7 records give at least one")
    assert [" ".join(x.split()) for x in told[start + 1 : start + 5]] == [
        "email 3 given, 2 different, 1 with another; 0 in the lake, 1 more beside one that is",
        "member_id 5 given, 2 different, 2 with another; 2 in the lake, 0 more beside one that is",
        "phone 4 given, 1 different, 1 with another; 1 in the lake, 0 more beside one that is",
        LINKED,
    ]
    assert told[-2].startswith("  campaign_touches/log.csv:8 [silver.touch]: `touch_type` is ")
    assert told[-1] == "Nothing was written."

    told = checked("industry_index", DATA / "industry_index/2026.csv", with_lake=False)
    assert told[1] == "  2 fit, 1 do not, 0 cannot be read"
    month = next(x.split() for x in told if x.startswith("  month"))
    assert month == ["month", "date", "string", "100.0", "%", "1", "wrong", "2026-01"]
    assert "Identifiers: none; nothing of this source would belong to a customer by itself" in told
    assert told[-2] == "  2026.csv:4: month: '2026-13' is not of type date (yyyy-MM)"

    told = checked("access_log", DATA / "access_log/access.log")
    assert told[1] == "  6 fit, 0 do not, 1 cannot be read"
    assert told[-2] == "  access.log:7: the line does not match the pattern"

    told = checked("ga4_events", DATA / "ga4_events")
    start = told.index("Not named in the mapping (kept in raw)")
    assert [" ".join(x.split()) for x in told[start + 1 : start + 6]] == [
        "device.category string 100.0 %",
        "ecommerce.total_item_quantity bigint 25.0 %",
        "event_date bigint 100.0 %",
        "items[].coupon string 50.0 %",
        "stream_id bigint 100.0 %",
    ]
    assert job.ledger.published == before
    assert {n: job.lake.version(n) for n in before} == before
