"""A simulated company as its files show it, read by DuckDB and plain Python."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import duckdb
from pyspark.sql import SparkSession

from lakecdp.simulator import SimulatorSettings, simulate
from lakecdp.simulator.traffic import KINDS, SHORT

SOURCES = ("app_events", "web_events", "pos", "crm", "touches")
SETTINGS = SimulatorSettings.model_validate(
    {
        "seed": 7,
        "persons": 60,
        "days": 20,
        "people": {
            "churn_hazard": 0.02,
            "phone_changes_per_year": 3.0,
            "days_to_register": 4,
            "app_led_share": 0.3,
            "web_led_share": 0.25,
        },
        "behaviour": {"visits_per_day": 0.3, "cycle_days": 5.0},
        "campaigns": [
            {
                "name": name,
                "channel": channel,
                "day": date(2026, 5, day),
                "reach_share": 0.9,
                "opened_share": 0.7,
                "lift": 0.5,
            }
            for name, channel, day in (("a", "push", 10), ("b", "sms", 14), ("c", "email", 18))
        ],
        "store": {"return_share": 0.5, "return_days": 2},
        "identifiers": {
            "household_share": 0.5,
            "borrow_share": 0.4,
            "kiosks": 1,
            "kiosk_share": 0.1,
            "till_phone_share": 0.1,
            "other_phone_share": 0.5,
            "junk_share": 0.03,
            "unlisted_junk_share": 0.03,
            "mistaken_share": 0.1,
        },
        "flaws": {
            "duplicate_share": 0.04,
            "malformed_share": 0.05,
            "late_share": 0.04,
            "late_days": 3,
        },
        # What is lost has a company of its own: test_losses.py.
        "losses": dict.fromkeys(
            ("event_share", "purchase_share", "truncated_share", "wrong_amount_share"), 0
        ),
        "tracking": {"undocumented_share": 0},
        "crawlers": {"per_thousand_persons": 100, "declared_views": 10, "stealth_views": 90},
        "traffic": {
            **{
                f"{k}_per_thousand": 50 for k in ("scanners", "scripts", "hosted", "bogon", "farms")
            },
            "active_share": 0.2,
            "scanner_requests": 60,
            "script_views": 90,
            "short_view_share": 0.1,
        },
        "files": {"days_per_file": 6, "daily_days": 5},
    }
)


@dataclass(frozen=True)
class Company:
    """What one call has written."""

    root: Path
    counts: dict[str, int]

    def lines(self, source: str) -> list[tuple[str, str]]:
        """Folder and line of every record, in no particular order; headers left out."""
        found: list[tuple[str, str]] = []
        for file in sorted((self.root / "landing" / source).glob("*/part-*")):
            text = file.read_bytes().decode("utf-8").split("\n")
            assert text.pop() == ""
            found += [(file.parent.name, line) for line in text[source in HEADERS :]]
        return found

    def truth(self, table: str) -> list[dict[str, Any]]:
        """Rows of a truth table."""
        path = self.root / "truth" / table
        relation = duckdb.sql(
            f"from read_parquet('{path}/**/*.parquet', hive_partitioning = false)"
        )
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


HEADERS = {
    "pos": "ticket_id,line_no,store_id,sold_at,sku,product_name,quantity,unit_price,amount,"
    "payment_method,member_card,phone,original_ticket_id",
    "crm": "member_id,name,phone,email,gender,birthday,city,province,registered_at,level,device_id,"
    "updated_at",
    "products": "sku,name,category,brand,price,cost",
}


def run(
    spark: SparkSession,
    root: Path,
    settings: SimulatorSettings = SETTINGS,
    days: tuple[int, int] | None = None,
) -> Company:
    first = last = None
    if days:
        first, last = (settings.first_day + timedelta(days=day) for day in days)
    counts = simulate(
        spark, settings, str(root / "landing"), (root / "truth").as_uri(), first, last
    )
    return Company(root, counts)


def local_time(source: str, line: str) -> datetime:
    """Local time of a sound record, read independently of the simulator."""
    if source == "app_events":
        at = datetime.fromtimestamp(json.loads(line)["time"] / 1000, timezone(timedelta(hours=8)))
        return at.replace(tzinfo=None)
    if source in ("web_events", "touches"):
        ts = datetime.fromisoformat(json.loads(line)["ts"])
        assert ts.utcoffset() == timedelta(hours=8)
        return ts.replace(tzinfo=None)
    field = 3 if source == "pos" else -1
    return datetime.fromisoformat(next(csv.reader([line]))[field])


def key_of(source: str, line: str) -> str:
    """Key of a record, readable in damaged lines too."""
    if source == "app_events":
        return re.match(r'\{"_track_id":(\d+)', line)[1]  # type: ignore[index]
    if source == "touches":
        return re.match(r'\{"touch_id":"(\w+)"', line)[1]  # type: ignore[index]
    if source == "web_events":
        return re.match(r'\{"event_id":"(\w+)"', line)[1]  # type: ignore[index]
    row = line.split(",")
    if source == "pos":
        return f"{row[0]}/{row[1]}"
    return f"{row[0]}@{row[-1]}"


def reason(source: str, line: str) -> str | None:
    """Why a strict reader refuses a line, None if it does not."""
    if "\0" in line:
        return "nul_byte"
    return csv_reason(source, line) if source in HEADERS else json_reason(source, line)


def csv_reason(source: str, line: str) -> str | None:
    row = next(csv.reader([line]))
    width = HEADERS[source].count(",") + 1
    if len(row) != width:
        return "short_line" if len(row) < width else "long_line"
    try:
        datetime.fromisoformat(row[3] if source == "pos" else row[8])
    except ValueError:
        return "impossible_date"
    if source == "pos":
        try:
            Decimal(row[6])
        except InvalidOperation:
            return "wrong_type"
        if Decimal(row[7]) < 0:
            return "negative_price"
    return None


def json_reason(source: str, line: str) -> str | None:
    try:
        record = json.loads(line, parse_float=Decimal)
    except json.JSONDecodeError:
        return "broken_json"
    if source == "app_events":
        price = record["properties"].get("price", Decimal(0))
        if record["time"] > 10**14:
            return "impossible_date"
        if not isinstance(price, Decimal):
            return "wrong_type"
        return "negative_price" if price < 0 else None
    try:
        datetime.fromisoformat(record["ts"])
    except ValueError:
        return "impossible_date"
    return "wrong_type" if isinstance(record.get("dwell_seconds"), str) else None


def sound(company: Company, source: str) -> list[tuple[str, str]]:
    return [(day, line) for day, line in company.lines(source) if reason(source, line) is None]


def normal_phone(text: str) -> str:
    digits = re.sub(r"\D", "", text)
    assert len(digits) in (11, 13)
    return "+86" + digits[-11:]


def known(whole: Company) -> dict[tuple[str, str], dict[str, Any]]:
    rows = whole.truth("person_identifier")
    found = {(row["type"], row["value"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def of_many(whole: Company) -> set[tuple[str, str]]:
    """Identifiers that belong to nobody or that are lent within a household."""
    rows = [*whole.truth("nobody"), *whole.truth("borrowed")]
    return {(row["type"], row["value"]) for row in rows}


def identifiers(source: str, line: str) -> list[tuple[str, str]]:
    """Identifiers of a sound record, normalised as in the truth tables."""
    if source == "app_events":
        event = json.loads(line)
        body = event["properties"]
        given = [("device_id", body["$device_id"]), ("phone", body.get("phone"))]
        given.append(("member_id", event.get("login_id")))
    elif source == "web_events":
        event = json.loads(line)
        given = [("cookie", event["cookie_id"]), ("phone", event["phone"])]
        given += [("member_id", event["member_id"]), ("email", event["email"])]
    elif source == "touches":
        touch = json.loads(line)
        kind = {"push": "device_id", "sms": "phone", "email": "email"}[touch["channel"]]
        given = [("member_id", touch["member_id"]), (kind, touch["address"])]
    else:
        row = dict(zip(HEADERS[source].split(","), next(csv.reader([line])), strict=True))
        member = row["member_card"] if source == "pos" else row["member_id"]
        given = [("member_id", member), ("phone", row["phone"])]
        given += [("email", row.get("email")), ("device_id", row.get("device_id"))]
    forms = {"phone": normal_phone, "email": lambda text: text.strip().lower()}
    return [(kind, forms.get(kind, str)(value)) for kind, value in given if value]


def machines(whole: Company) -> dict[tuple[str, str], set[str]]:
    """Source and key of the records that no person caused, with their kinds."""
    found: dict[tuple[str, str], set[str]] = {}
    for row in whole.truth("planted"):
        if row["kind"] in KINDS:
            found.setdefault((row["source"], row["key"]), set()).add(row["kind"])
    return {one: kinds for one, kinds in found.items() if kinds != {SHORT}}


def observed(whole: Company) -> Iterator[tuple[datetime, list[tuple[str, str]]]]:
    """Time and own identifiers of every sound record of a person, mistaken ones left out."""
    invalid = machines(whole)
    shared = of_many(whole)
    wrong = {(row["key"], row["kind"]) for row in whole.truth("planted") if row["source"] == "crm"}
    for source in SOURCES:
        for _, line in sound(whole, source):
            found = [one for one in identifiers(source, line) if one not in shared]
            key = key_of(source, line)
            if (source, key) not in invalid:
                kinds = {"phone": "wrong_phone", "device_id": "wrong_device"}
                own = [one for one in found if (key, kinds.get(one[0])) not in wrong]
                yield local_time(source, line), own
