"""A simulated company as its files show it, read by DuckDB and plain Python."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import duckdb
from pyspark.sql import SparkSession

from lakecdp.simulator import SimulatorSettings, simulate

SOURCES = ("app_events", "web_events", "pos", "crm")
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
        "store": {"return_share": 0.5, "return_days": 2},
        "flaws": {
            "duplicate_share": 0.04,
            "malformed_share": 0.05,
            "late_share": 0.04,
            "late_days": 3,
        },
        "crawlers": {"per_thousand_persons": 100, "declared_views": 10, "stealth_views": 40},
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
    if source == "web_events":
        ts = datetime.fromisoformat(json.loads(line)["ts"])
        assert ts.utcoffset() == timedelta(hours=8)
        return ts.replace(tzinfo=None)
    field = 3 if source == "pos" else -1
    return datetime.fromisoformat(next(csv.reader([line]))[field])


def key_of(source: str, line: str) -> str:
    """Key of a record, readable in damaged lines too."""
    if source == "app_events":
        return re.match(r'\{"_track_id":(\d+)', line)[1]  # type: ignore[index]
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
    return "wrong_type" if isinstance(record["dwell_seconds"], str) else None


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


def observed(whole: Company) -> Iterator[tuple[datetime, list[tuple[str, str]]]]:
    """Time and identifiers of every sound record of a person."""
    robots = {row["cookie_id"] for row in whole.truth("crawler")}
    for source in SOURCES:
        for _, line in sound(whole, source):
            at = local_time(source, line)
            if source == "app_events":
                event = json.loads(line)
                found = [("device_id", event["properties"]["$device_id"])]
                found += [("member_id", event["login_id"])] if "login_id" in event else []
                assert event["distinct_id"] == found[-1][1]
            elif source == "web_events":
                event = json.loads(line)
                if event["cookie_id"] in robots:
                    continue
                found = [("cookie", event["cookie_id"])]
                found += [("member_id", event["member_id"])] if event["member_id"] else []
                mail = (event["email"] or "").strip().lower()
                found += [("email", mail)] if mail else []
            else:
                row = dict(zip(HEADERS[source].split(","), next(csv.reader([line])), strict=True))
                member = row["member_card"] if source == "pos" else row["member_id"]
                found = [("member_id", member)] if member else []
                found += [("phone", normal_phone(row["phone"]))] if row["phone"] else []
                if source == "crm":
                    found.append(("email", row["email"].strip().lower()))
                    found += [("device_id", row["device_id"])] if row["device_id"] else []
            yield at, found
