"""Events held in memory and judged by plain loops."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from tests.spark.silver import visits
from tests.spark.silver.visits import EVENT, IDENTITY, VACATED, Event, Memory, event

from lakecdp import contracts
from lakecdp.silver.flag_traffic import FLAGS, OUTPUTS, flag_traffic
from lakecdp.silver.session_rules import SessionRules
from lakecdp.silver.traffic_rules import Networks, Traffic, TrafficRules

REQUEST = ("ip", "user_agent", "http_method", "http_status", "http_query", "referrer")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"


def traffic(**rules: Any) -> Traffic:
    """Rules with one data centre, 185.1.2.0/24 and 2a0a:1::/32."""
    hosted = Networks("Hoster", "a test", None, ("185.1.2.0/24", "2a0a:1::/32"))  # type: ignore[arg-type]
    return Traffic(TrafficRules(**rules), {"hoster": hosted}, SessionRules(), IDENTITY)


def seen(name: str, minute: float, *ids: tuple[str, int], **more: Any) -> Event:
    """An event of a browser at an address somewhere."""
    given = {**dict.fromkeys(REQUEST), "ip": "36.4.5.6", "user_agent": BROWSER, **more}
    return event(name, minute, *ids, **given)


class Flags(Memory):
    """What flag_traffic needs of a batch, on rows in memory."""

    def __init__(self, spark: SparkSession):
        super().__init__(spark)
        self.rows: dict[str, dict[Any, Event]] = {t: {} for t in (VACATED, *OUTPUTS)}

    def judge(self, rules: Traffic, *, full: bool = False) -> Flags:
        """One batch."""
        self.seq += 1
        self.full = full or not self.since.mark
        self.written.clear()
        flag_traffic(self, rules)  # type: ignore[arg-type]
        self.since = SimpleNamespace(mark=self.seq)
        return self

    def _events(self) -> DataFrame:
        types = {c.name: c.type for c in contracts.table(EVENT).columns}
        given = {
            "event_date": "day", "event_id": "id", "event_at": "at", "event_name": "name",
            "identifiers": "ids", **{c: c for c in ("source", "channel", *visits.FACTS, *REQUEST)},
        }  # fmt: skip
        ddl = ", ".join(f"{c} {types[c]}" for c in given)
        data = [(*(e[k] for k in given.values()), e["_batch"]) for e in self.events.values()]
        return self.spark.createDataFrame(data, f"{ddl}, _batch BIGINT")

    def flags(self) -> dict[str, list[str]]:
        """Event -> its reasons."""
        return {r["event_id"]: list(r["reasons"]) for r in self.rows[FLAGS].values()}

    def evidence(self) -> dict[str, list[str]]:
        """Event -> what shows its reasons."""
        return {r["event_id"]: list(r["evidence"]) for r in self.rows[FLAGS].values()}


def expected(events: Iterable[Event], rules: Traffic) -> dict[tuple[Any, str], list[str]]:
    """Key of an event -> its reasons, for what `some_event` makes, by plain loops."""
    every = list(events)
    crowds = together(every, rules)
    out = {}
    for e in every:
        found = {
            "stated": e["invalid_reason"] is not None,
            "crawler": "Googlebot" in (e["user_agent"] or ""),
            "no_agent": e["user_agent"] == "-",
            "scanner": probe(e) or (client(e), e["day"]) in crowds["scanner"],
            "rate": (pace(e), e["day"]) in crowds["rate"],
            "bogon": e["ip"] == "10.1.1.1",
            "datacentre": (e["ip"] or "").startswith("185.1.2."),
            "many_accounts": (actor(e), e["day"]) in crowds["many_accounts"],
            "short_view": e["name"] in ("page_view", "view_item") and (e["dwell_seconds"] or 9) < 3,
        }
        reasons = [k for k, v in found.items() if v]
        if reasons:
            out[e["day"], e["id"]] = reasons
    return out


DEVICES = ("device_id", "cookie")


def device(e: Event) -> Any:
    return next((n for t, n in e["ids"] if t in DEVICES), None)


def account(e: Event) -> Any:
    return next((n for t, n in e["ids"] if t not in DEVICES), None)


def actor(e: Event) -> Any:
    return device(e) or e["ip"] or (e["day"], e["id"])


def client(e: Event) -> Any:
    return (actor(e), e["ip"])


def pace(e: Event) -> Any:
    return (actor(e), e["ip"], e["user_agent"])


def probe(e: Event) -> bool:
    return "wp-login" in (e["page"] or "") or e["http_method"] == "CONNECT"


def together(every: list[Event], rules: Traffic) -> dict[str, set[Any]]:
    """Reason -> who and day."""
    r = rules.rules

    def days(who: Any, some: list[Event], seconds: int, most: int, count: Any = len) -> set[Any]:
        """Who and day of all events that are within an interval that reaches the limit."""
        by, out = defaultdict(list), set()
        for e in some:
            by[who(e)].append(e)
        for name, mine in by.items():
            for e in mine:
                span = [
                    x
                    for x in mine
                    if timedelta(0) <= e["at"] - x["at"] < timedelta(seconds=seconds)
                ]
                if count(span) >= most:
                    day = min(x["day"] for x in span)
                    while day <= e["day"]:
                        out.add((name, day))
                        day += timedelta(days=1)
        return out

    fast = {
        x
        for limit in r.rates.limits
        for x in days(
            pace, [e for e in every if e["name"] != "file_request"], limit.seconds, limit.requests
        )
    }
    misses = [e for e in every if e["name"] == "request" and 400 <= (e["http_status"] or 0) < 500]
    scanning = days(client, misses, r.scanners.misses.seconds, r.scanners.misses.requests)
    probes: dict[Any, int] = defaultdict(int)
    for e in every:
        probes[client(e), e["day"]] += probe(e)
    scanning |= {k for k, n in probes.items() if n >= r.scanners.client_probes}
    opened = [e for e in every if e["name"] == "sign_up" and device(e) and account(e)]
    farms = days(
        actor, opened, r.registrations.hours * 3600, r.registrations.accounts,
        lambda span: len({account(x) for x in span}),
    )  # fmt: skip
    return {"rate": fast, "scanner": scanning, "many_accounts": farms}


def some_event(dice: random.Random, name: str) -> Event:
    pick = dice.choice
    device = pick([("device_id", 301), ("device_id", 302), ("cookie", 401), ("cookie", 402)])
    person = pick([("member_id", n) for n in range(101, 107)])
    ids = [x for x, often in ((person, 0.5), (device, 0.6)) if dice.random() < often]
    kind = pick(
        ("page_view", "view_item", "search", "sign_up", "sign_up", "request", "file_request")
    )
    web = dice.random() < 0.3
    return seen(
        name,
        pick((50, 60, 1440, 1500)) + dice.randrange(40) / 60,
        *ids,
        kind=kind,
        ip=pick(("36.4.5.6", "36.4.5.6", "36.4.5.7", "10.1.1.1", "185.1.2.3", None)),
        user_agent=pick((*[BROWSER] * 6, "Googlebot/2.1", "-", None)),
        page=pick((None, "/a", "/wp-login.php" if web else "/b")),
        http_method=pick(("GET", "GET", "CONNECT")) if web else None,
        http_status=pick((200, 404, 403, 408, 500)) if web else None,
        dwell_seconds=pick((None, Decimal("1.000"), Decimal("3.000"))),
        invalid_reason=pick((None,) * 9 + ("robot",)),
    )


def world(seed: int) -> list[tuple[list[Event], int]]:
    """Deliveries of random events over three days, some restated, and how many to delete with each."""
    dice = random.Random(seed)
    made: list[Event] = []
    parts = []
    for part, count in enumerate((60, 25, 20)):
        here = [some_event(dice, f"e{part}-{i}") for i in range(count)]
        # The key holds its day, so a restated event stays on it.
        here += [
            {**some_event(dice, old["id"]), "at": old["at"], "day": old["day"]}
            for old in dice.sample(made, min(len(made), 4))
        ]
        made += here
        parts.append((here, dice.choice((0, 2)) if part else 0))
    return parts
