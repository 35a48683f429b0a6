"""Events held in memory, and sessions made from them by plain loops."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.governance.identifiers import IdentityRules
from lakecdp.silver.session_rules import SessionRules
from lakecdp.silver.sessionize import INPUTS, OUTPUTS, TRAFFIC, VACATED_TRAFFIC, sessionize

TYPES = ["member_id", "phone", "device_id", "cookie"]
STRENGTH = {t: i for i, t in enumerate(TYPES)}
IDENTITY = IdentityRules.model_validate(
    {
        "types": {
            t: {"priority": i + 1, "of": "device" if i > 1 else "person"}
            for i, t in enumerate(TYPES)
        }
    }
)
NIGHT = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)
EVENT = "silver.event"
VACATED = "silver.vacated"
FACTS = ("page", "order_id", "dwell_seconds", "device_model", "session_hint", "invalid_reason")
Event = dict[str, Any]
Key = tuple[date, str]


def event(
    name: str, minute: float, *ids: tuple[str, int], kind: str = "page_view", **more: Any
) -> Event:
    """An event so many minutes after eleven at night on the first of March."""
    at = NIGHT + timedelta(minutes=minute)
    given = {"source": "web", "channel": "web", **dict.fromkeys(FACTS), "campaign": None, **more}
    ids_ = sorted(ids, key=lambda i: STRENGTH[i[0]])
    return {"id": name, "at": at, "day": at.date(), "ids": ids_, "name": kind, **given}


class Memory:
    """What sessionize needs of a batch, on rows in memory."""

    def __init__(self, spark: SparkSession):
        self.spark = spark
        self.events: dict[Key, Event] = {}
        self.rows: dict[str, dict[Any, Event]] = {t: {} for t in (*INPUTS[1:], *OUTPUTS)}
        self.since = SimpleNamespace(mark=0)
        self.full = True
        self.seq = 0
        self.written: Counter[str] = Counter()

    def deliver(self, events: Iterable[Event], gone: Iterable[Key] = ()) -> None:
        """New events; one with a known key replaces it; and deleted ones; as silver does."""
        self.seq += 1
        given = {(e["day"], e["id"]): {**e, "_batch": self.seq} for e in events}
        for key in [*(k for k in given if k in self.events), *(set(gone) - set(given))]:
            self._note(self.events.pop(key))
        self.events |= given

    def _note(self, old: Event) -> None:
        own = old["ids"][0][1] if old["ids"] else None
        note = {"target": EVENT, "owner_node": own, "day": old["day"], "_batch": self.seq}
        self.rows[VACATED][len(self.rows[VACATED])] = note

    def flag(self, *names: str, kind: str | None = "invalid") -> None:
        """Flag events, or with None flag them no more, as flag_traffic does."""
        self.seq += 1
        for key in [k for k in self.events if k[1] in names]:
            row = {"event_date": key[0], "event_id": key[1], "kind": kind, "_batch": self.seq}
            if kind:
                told = {"source": "web", "channel": "web", "reasons": ["rate"], "evidence": ["x"]}
                self.rows[TRAFFIC][key] = {**row, **told}
            else:
                del self.rows[TRAFFIC][key]
                self.rows[VACATED_TRAFFIC][len(self.rows[VACATED_TRAFFIC])] = row

    def counting(self) -> list[Event]:
        """The events that no flag takes out."""
        flagged = {k for k, r in self.rows[TRAFFIC].items() if r["kind"] == "invalid"}
        return [e for k, e in self.events.items() if k not in flagged]

    def take(self, rules: SessionRules, *, full: bool = False) -> Memory:
        """One batch."""
        self.seq += 1
        self.full = full or not self.since.mark
        self.written.clear()
        sessionize(self, rules, IDENTITY)  # type: ignore[arg-type]
        self.since.mark = self.seq
        return self

    def read(self, name: str) -> DataFrame:
        if name == EVENT:
            return self._events()
        contract = contracts.table(name)
        ddl = contract.ddl.replace(" NOT NULL", "")
        names = [c.name for c in contract.all_columns]
        data = [tuple(r.get(c) for c in names) for r in self.rows[name].values()]
        return self.spark.createDataFrame(data, ddl)

    def _events(self) -> DataFrame:
        types = {c.name: c.type for c in contracts.table(EVENT).columns}
        given = {
            "event_date": "day", "event_id": "id", "event_at": "at", "event_name": "name",
            "source": "source", "channel": "channel", "identifiers": "ids", **{f: f for f in FACTS},
        }  # fmt: skip
        ddl = ", ".join(f"{c} {types[c]}" for c in given)
        data = [
            (*(e[k] for k in given.values()), e["campaign"], e["_batch"])
            for e in self.events.values()
        ]
        rows = self.spark.createDataFrame(data, f"{ddl}, campaign STRING, _batch BIGINT")
        stated = F.to_json(F.struct(F.col("campaign").alias("utm_campaign")))
        return rows.withColumns(
            {
                "owner_node": F.get("identifiers", F.lit(0))["node_id"],
                "properties": F.parse_json(stated),
                **{c: F.lit(None).cast("string") for c in ("os", "country", "region")},
            }
        )

    def new_rows(self, name: str) -> DataFrame:
        rows = self.read(name)
        return rows if self.full else rows.where(F.col("_batch") > self.since.mark)

    def keep(self, frame: DataFrame) -> DataFrame:
        return frame.localCheckpoint()

    hold = keep

    def count(self, **rows: int) -> None: ...

    def append(self, name: str, frame: DataFrame) -> int:
        return self.upsert(name, frame).written

    def upsert(
        self, name: str, frame: DataFrame, delete_when: str | None = None
    ) -> SimpleNamespace:
        contract, done = contracts.table(name), Counter[str]()
        for row in frame.collect():
            key = tuple(row[c] for c in contract.key) or len(self.rows[name])
            self.written[name] += 1
            gone = delete_when is not None and row["_gone"]
            done["deleted" if gone else "written"] += 1
            if gone:
                del self.rows[name][key]
            else:
                value = {c: row[c] for c in contract.column_names}
                self.rows[name][key] = {**value, "_batch": self.seq}
        return SimpleNamespace(written=done["written"], deleted=done["deleted"])

    def facts(self, name: str) -> list[tuple[Any, ...]]:
        columns = contracts.table(name).compared
        return sorted((tuple(r[c] for c in columns) for r in self.rows[name].values()), key=repr)

    def owners(self) -> dict[str, int | None]:
        """Event -> its owner."""
        found = self.rows["silver.event_session"].values()
        return {r["event_id"]: r["owner_node"] for r in found}

    def visits(self) -> set[frozenset[str]]:
        """The events of every session."""
        out: dict[Any, set[str]] = defaultdict(set)
        for r in self.rows["silver.event_session"].values():
            out[r["session_date"], r["session_id"]].add(r["event_id"])
        assert set(out) == set(self.rows["silver.session"]), "one row per session"
        return {frozenset(v) for v in out.values()}


# The same by plain loops


def visitor(e: Event, rules: SessionRules) -> Any:
    device = next((n for t, n in e["ids"] if t in ("device_id", "cookie")), None)
    if rules.session_hint and (e["session_hint"] or "").strip():
        return (e["source"], e["session_hint"], device)
    return device or (e["ids"][0][1] if e["ids"] else None)


def sessions(events: Iterable[Event], rules: SessionRules) -> list[list[Event]]:
    """Valid events of one visitor after another, in order of time, cut where the rules say."""
    by: dict[Any, list[Event]] = defaultdict(list)
    for e in events:
        who = visitor(e, rules)
        behaves = e["invalid_reason"] is None and e["name"] not in ("request", "file_request")
        if behaves and who is not None:
            by[who].append(e)
    out: list[list[Event]] = []
    for mine in by.values():
        mine.sort(key=lambda e: (e["at"], e["id"]))
        start, stated, block = None, None, 0
        for before, e in zip([None, *mine], mine, strict=False):
            other = e["campaign"] and stated and e["campaign"] != stated
            idle = before and e["at"] - before["at"] > timedelta(minutes=rules.inactivity_minutes)
            if before is None or idle or (rules.split_on_campaign and other):
                out.append([])
                start, block = e["at"], 0
                stated = e["campaign"]
            else:
                stated = e["campaign"] or stated
            hours = (e["at"] - start) // timedelta(hours=rules.max_hours or 10**6)
            if hours != block:
                out.append([])
                block = hours
            out[-1].append(e)
    return out


def owners(session: list[Event]) -> dict[str, int | None]:
    """Who owns each event of a session."""
    persons = [[i for i in e["ids"] if i[0] in ("member_id", "phone")][:1] for e in session]
    types = {p[0][0] for p in persons if p}
    best = next((t for t in TYPES if t in types), None)
    seen = [p[0][1] if p and p[0][0] == best else None for p in persons]
    current = next((s for s in seen if s), None)
    out: dict[str, int | None] = {}
    for e, person, login in zip(session, persons, seen, strict=True):
        current = login or current
        own = e["ids"][0][1] if e["ids"] else None
        out[e["id"]] = own if person or current is None else current
    return out


def session_facts(session: list[Event]) -> dict[str, Any]:
    """Columns of silver.session that can be told from a list of events."""
    pages = [e["page"] for e in session if e["page"]]
    views = [e for e in session if e["name"] in ("page_view", "view_item")]
    persons = [
        (STRENGTH[t], e["at"], e["id"], n) for e in session for t, n in e["ids"] if t in TYPES[:2]
    ]
    bought = [e["order_id"] for e in session if e["name"] == "purchase"]
    first, last = session[0]["at"], session[-1]["at"]
    return {
        "session_date": first.date(),
        "last_date": last.date(),
        "started_at": first.replace(tzinfo=None),
        "ended_at": last.replace(tzinfo=None),
        "seconds": Decimal((last - first) // timedelta(milliseconds=1)) / 1000,
        "events": len(session),
        "views": len(views),
        "effective_views": sum(
            e["dwell_seconds"] is None or e["dwell_seconds"] >= 3 for e in views
        ),
        "searches": sum(e["name"] == "search" for e in session),
        "purchases": len(bought),
        "orders": len({o for o in bought if o}),
        "landing_page": pages[0] if pages else None,
        "exit_page": pages[-1] if pages else None,
        "owner_node": min(persons)[3] if persons else None,
        "has_login": bool(persons),
        "persons": len({p[3] for p in persons if p[0] == min(persons)[0]}),
        "campaign_name": next((e["campaign"] for e in session if e["campaign"]), None),
        "source": session[0]["source"],
    }


def world(seed: int) -> list[tuple[list[Event], int]]:
    """Deliveries of random events over four days, some restated, and how many to delete with each."""
    dice = random.Random(seed)
    made: list[Event] = []
    parts = []
    for part, count in enumerate((70, 30, 30, 10)):
        here = [some_event(dice, f"e{part}-{i}") for i in range(count)]
        for old in dice.sample(made, min(len(made), 6)):
            new = some_event(dice, old["id"])
            minute = (old["at"] - NIGHT) / timedelta(minutes=1)
            # The key holds its day, so a restated event stays on it.
            moved = event(old["id"], minute + dice.choice((-20, 0, 10)))
            same_day = moved["day"] == old["day"]
            here.append({**new, "at": moved["at"] if same_day else old["at"], "day": old["day"]})
        made += here
        parts.append((here, dice.choice((0, 3)) if part else 0))
    return parts


def some_event(dice: random.Random, name: str) -> Event:
    pick = dice.choice
    device = pick([("device_id", 301), ("device_id", 302), ("cookie", 401), ("cookie", 402)])
    person = pick([("member_id", 101), ("member_id", 102), ("phone", 201), ("phone", 202)])
    ids = [
        x for x, often in ((device, 0.9), (("cookie", 403), 0.1), (person, 0.2))
        if dice.random() < often
    ]  # fmt: skip
    if device[0] == "cookie" and device in ids:
        ids = [i for i in ids if i != ("cookie", 403)]
    return event(
        name,
        pick((0, 30, 60, 1440, 2880, 4320)) + 10 * dice.randrange(-5, 15) + pick((0, 0, 0.5)),
        *ids,
        kind=pick(("page_view", "view_item", "search", "purchase", "page_view", "request")),
        source=pick(("web", "web", "app")),
        page=pick((None, "/a", "/b", "/c")),
        order_id=pick((None, "o1", "o2")),
        dwell_seconds=pick((None, Decimal("1.000"), Decimal("3.000"))),
        session_hint=pick((None, None, None, None, "s1", " ")),
        invalid_reason=pick((None,) * 9 + ("crawler",)),
        campaign=pick((None,) * 6 + ("spring", "sale")),
    )
