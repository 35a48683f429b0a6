"""Coverage of a simulated company against plain Python over its files and against its truth."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.spark.helpers import rows, run
from tests.spark.simulator import company as simulated

from lakecdp import contracts
from lakecdp.measurement.measure import OUTPUTS, Measured, measure
from lakecdp.platform.job import Job
from lakecdp.platform.settings import Conf, load_settings
from lakecdp.simulator import SimulatorSettings

pytestmark = pytest.mark.spark

JOB = "08_measurement/coverage"
SOURCES = ["app_events", "web_events", "pos", "pos_totals", "back_office"]
FLAWED = SimulatorSettings.model_validate(
    {
        "seed": 5,
        "persons": 60,
        "days": 12,
        "people": {"app_led_share": 0.25, "web_led_share": 0.25},
        "behaviour": {"visits_per_day": 0.2, "cycle_days": 5.0},
        "losses": {
            "event_share": 0.06,
            "purchase_share": 0.25,
            "truncated_share": 1.0,
            "truncated_part": 0.3,
            "wrong_amount_share": 0.5,
        },
        "tracking": {"undocumented_share": 0.5},
        "flaws": {"duplicate_share": 0.05, "malformed_share": 0.05, "late_share": 0.02},
        "crawlers": {"per_thousand_persons": 30, "declared_views": 5, "stealth_views": 8},
        "files": {"days_per_file": 4, "daily_days": 4},
        "campaigns": [],
    }
)


@dataclass(frozen=True)
class Known:
    """The lake after two deliveries, and what its company has written."""

    job: Job
    files: simulated.Company


@pytest.fixture(scope="module")
def measured(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Known:
    """The first eight days before they are conformed, then all; a file comes before its manifest."""
    root = tmp_path_factory.mktemp("coverage")
    files = simulated.run(spark, root, FLAWED)
    landing = root / "some"
    landing.mkdir()
    rules = Conf(None)
    settings = load_settings(
        rules, "demo", lake=str(root / "lake"), landing=str(landing), sources=SOURCES
    )
    job = Job(spark, settings, rules, FLAWED.last_day)
    rounds: tuple[tuple[Callable[[str], bool], list[str]], ...] = (
        (lambda n: n <= "2026-05-12", []),
        (lambda n: True, ["02_silver/conform"]),
    )
    for folders, between in rounds:
        for folder in sorted((root / "landing").glob("*/*")):
            there = landing / folder.parent.name / folder.name
            if folders(folder.name) and not there.exists():
                shutil.copytree(folder, there)
                if folder.name == "2026-05-12":
                    (there / "manifest.csv").unlink(missing_ok=True)
        for name in ("01_bronze/ingest", *between, JOB):
            run(job, name)
        late = root / "landing/pos/2026-05-12/manifest.csv"
        shutil.copy(late, landing / "pos/2026-05-12/manifest.csv")
    # The manifest that was late comes with the second delivery; nothing else is new.
    assert job.failures == []
    return Known(job, files)


def utc_day(source: str, line: str) -> date:
    """UTC day of a sound event, read independently."""
    body = json.loads(line)
    if source == "app_events":
        return datetime.fromtimestamp(body["time"] / 1000, UTC).date()
    return datetime.fromisoformat(body["ts"]).astimezone(UTC).date()


def numbered(files: simulated.Company, source: str) -> dict[str, dict[int, date]]:
    """Day of each number that arrived, by session."""
    found: dict[str, dict[int, date]] = defaultdict(dict)
    for _, line in simulated.sound(files, source):
        body = json.loads(line)
        given = body["properties"] if source == "app_events" else body
        session, number = (
            given.get("$session", given.get("session")),
            given.get("$seq", given.get("seq")),
        )
        if session is not None:
            found[session][number] = utc_day(source, line)
    return found


def test_gaps_in_sequence_numbers_are_the_events_that_were_lost(measured: Known) -> None:
    expected: dict[tuple[str, date], list[int]] = defaultdict(lambda: [0, 0])
    lost: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in measured.files.truth("lost"):
        lost[row["source"], row["session"]].add(row["number"])
    known = 0
    for source in ("app_events", "web_events"):
        late = {r["key"] for r in measured.files.truth("planted") if r["kind"] == "late"}
        assert late
        for session, days in numbered(measured.files, source).items():
            for day in days.values():
                expected[source, day][0] += 1
            for number in range(1, max(days)):
                if number not in days:
                    day = days[min(n for n in days if n > number)]
                    expected[source, day][1] += 1
                    known += number in lost[source, session]
    found = measured.job.read("gold.coverage").where("basis = 'sequence'")
    assert rows(found, "source", "day", "event", "arrived", "missing", "expected") == sorted(
        ((s, d, "all", a, m, a + m) for (s, d), (a, m) in expected.items()), key=repr
    )
    # What is missing was lost, but for what is delivered late and has not come yet; what was lost
    # after the last event that arrived of its session cannot be known.
    missing = sum(m for _, m in expected.values())
    total = sum(map(len, lost.values()))
    assert known > 0.75 * missing > 40
    assert 0.6 * total < known <= total


def test_orders_of_the_back_office_without_a_purchase_event_are_those_lost(
    measured: Known,
) -> None:
    told = set()
    for source, name in (("app_events", "PayOrder"), ("web_events", "purchase")):
        for _, line in simulated.sound(measured.files, source):
            body = json.loads(line)
            if body["event"] == name:
                told.add(body.get("properties", body)["order_id"])
    expected: Counter[tuple[date, str]] = Counter()
    arrived: Counter[tuple[date, str]] = Counter()
    missing = set()
    for _, line in measured.files.lines("back_office"):
        order = json.loads(line)
        key = (
            datetime.fromisoformat(order["ordered_at"]).astimezone(UTC).date(),
            order["channel"],
        )
        expected[key] += 1
        arrived[key] += order["order_no"] in told
        missing |= {order["order_no"]} - told
    found = measured.job.read("gold.coverage").where("basis = 'orders'")
    columns = ("source", "event", "day", "channel", "expected", "arrived", "missing", "share")
    whole = Decimal(1)
    assert rows(found, *columns) == sorted(
        (
            (
                "back_office",
                "purchase",
                *key,
                n,
                arrived[key],
                n - arrived[key],
                (whole * arrived[key] / n).quantize(Decimal("0.000001")),
            )
            for key, n in expected.items()
        ),
        key=repr,
    )
    lost = {r["order_id"] for r in measured.files.truth("lost") if r["order_id"]}
    assert lost <= missing
    assert len(lost) > 5
    assert len(missing - lost) < 8, "purchases that are late"
    # The back office fills what the front end lost: no order is left out.
    orders = {r["order_id"] for r in measured.job.read("silver.order_header").collect()}
    assert lost <= orders


def test_files_are_held_against_their_control_totals(measured: Known) -> None:
    landing = measured.files.root / "landing/pos"
    expected = []
    cut: Counter[date] = Counter()
    for manifest in sorted(landing.glob("*/manifest.csv")):
        day = date.fromisoformat(manifest.parent.name)
        for row in csv.DictReader(manifest.open()):
            text = (manifest.parent / row["file"]).read_text(encoding="utf-8")
            lines = text.split("\n")[1:-1]
            sound = [
                x
                for x in lines
                if simulated.csv_reason("pos", x) not in ("short_line", "long_line")
            ]
            sound = [x for x in sound if "\0" not in x]
            amount = sum((Decimal(next(csv.reader([x]))[8]) for x in sound), Decimal(0))
            cut[day] += int(row["records"]) - len(lines)
            expected.append(
                (
                    f"pos/{manifest.parent.name}/{row['file']}", day, int(row["records"]),
                    Decimal(row["amount"]), len(sound), amount,
                )
            )  # fmt: skip
    found = measured.job.read("gold.coverage_file")
    columns = ("file", "day", "expected", "expected_amount", "arrived", "arrived_amount")
    assert [
        (f, d, n, a.quantize(Decimal("0.01")), m, b.quantize(Decimal("0.01")))
        for f, d, n, a, m, b in rows(found, *columns)
    ] == sorted(expected, key=repr)
    truth = {r["day"]: r for r in measured.files.truth("cut")}
    assert {d: n for d, n in cut.items() if n} == {
        d: r["records_cut"] for d, r in truth.items() if r["records_cut"]
    }
    assert sum(cut.values()) > 5
    assert any(r["wrong"] for r in truth.values())
    by_day = measured.job.read("gold.coverage").where("basis = 'control_totals'")
    pandas = by_day.toPandas().set_index("day")
    for day in {e[1] for e in expected}:
        mine = [e for e in expected if e[1] == day]
        missing = sum(max(0, e[2] - e[4]) for e in mine)
        assert pandas.missing[day] == missing
        assert pandas.amount_difference[day] == sum(abs(e[3] - e[5]) for e in mine)
        share = Decimal(1) - Decimal(missing) / sum(e[2] for e in mine)
        assert abs(pandas.share[day] - share) < Decimal("0.000001")


def test_the_plan_and_what_is_sent_are_told_apart_by_version(measured: Known) -> None:
    popups: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    seen = set()
    for _, line in simulated.sound(measured.files, "app_events"):
        body = json.loads(line)
        version = body["properties"]["$app_version"]
        popups[version] += body["event"] == "CouponPopup"
        groups[version] += "ab_group" in body["properties"]
        seen.add(body["event"])
    assert popups["8.4.2"] > 2
    assert groups["8.4.2"] > 2
    found: Counter[tuple[str, ...]] = Counter()
    for r in measured.job.read("gold.tracking_violation").where("plan = 'app'").collect():
        found[r["violation"], r["event"], r["property"], r["app_version"]] += r["records"]
    wrong = {k[2] for k in found if k[0] == "wrong_type"}
    assert wrong == {"price"}, "twins with a price in words"
    events = {k: n for k, n in found.items() if k[0] != "wrong_type"}
    # Twins of these records, unreadable in a column, count besides the sound ones.
    assert set(events) == {
        ("undocumented_event", "CouponPopup", "", "8.4.2"),
        ("undocumented_property", "AppStart", "ab_group", "8.4.2"),
    }
    for key, counted in ((0, popups), (1, groups)):
        number = sorted(events.items(), key=lambda x: x[0][0])[key][1]
        assert counted["8.4.2"] <= number < 1.1 * counted["8.4.2"] + 3
    plan = measured.job.read("gold.tracking_plan").where("plan = 'app' AND property = ''").collect()
    status = {r["event"]: r["status"] for r in plan}
    assert {e for e, s in status.items() if s == "observed"} == seen - {"CouponPopup"}
    assert status["RateOrder"] == "missing"
    web = measured.job.read("gold.tracking_violation").where("plan = 'web'").collect()
    assert {(r["violation"], r["property"]) for r in web} == {("wrong_type", "dwell_seconds")}


def test_channels_are_connected_where_data_has_come(measured: Known) -> None:
    found = measured.job.read("gold.channel")
    assert rows(found, "channel", "connected", "declared") == [
        ("app", True, True),
        ("back_office", True, True),
        ("catalogue", False, True),
        ("crm", False, True),
        ("messages", False, True),
        ("mini_program", False, True),
        ("store", True, True),
        ("web", True, True),
    ]


def snapshot(job: Job) -> dict[str, list[tuple]]:
    return {t: rows(job.read(t), *contracts.table(t).compared) for t in OUTPUTS}


def test_two_deliveries_give_what_a_rebuild_gives_and_nothing_new_commits_nothing(
    measured: Known,
) -> None:
    job = measured.job
    before, versions = snapshot(job), dict(job.ledger.published)
    assert all(before.values())
    assert [s.outcome for s in run(job, JOB)] == ["unchanged"] * 5
    assert job.ledger.published == versions
    # Under another name the job has consumed nothing yet: it computes everything again.
    again = job.named("08_measurement/again")
    rules = Measured.load(job.conf, job.settings, job.lake)
    with again.batch_of(rules.units()) as batch:
        assert all(p.full for p in batch.parts)
        measure(batch, job.lake, rules)
    assert snapshot(job) == before


def test_a_wrong_control_is_refused_with_its_line(measured: Known, tmp_path: Path) -> None:
    shutil.copytree(Conf(None).shipped / "sources", tmp_path / "sources")
    mapping = tmp_path / "sources/pos.yaml"
    mapping.write_text(mapping.read_text().replace("{time: sold_at,", "{time: sold_a,"))
    other = Job(
        measured.job.spark, measured.job.settings, Conf(tmp_path), FLAWED.last_day,
        lake=measured.job.lake, ledger=measured.job.ledger,
    )  # fmt: skip
    with pytest.raises(Exception, match=r"pos\.yaml:\d+: `sold_a` cannot be used: .*columns are"):
        run(other, "02_silver/conform")
