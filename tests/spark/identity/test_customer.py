"""What is shown of a customer is what the tables hold, and a past id leads to the present one."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pyspark.sql import DataFrame, SparkSession
from tests.spark.identity.memory import Memory, rules_of, world

from lakecdp import contracts
from lakecdp.customer import customer_lines
from lakecdp.platform.errors import UsageError

KINDS = {1: "member_id", 2: "phone", 3: "device_id", 4: "cookie"}  # by the first digit, see `world`


def test_a_customer_is_shown_by_any_of_its_names(spark: SparkSession) -> None:
    memory, rules = Memory(spark), rules_of()
    for number, part in enumerate(world(1)):
        memory.deliver(part)
        memory.take(rules, full=number == 0)
    nodes = [n for (n,) in memory.rows["identity.node"]]
    kinds = {n: KINDS[int(str(n)[0])] for n in nodes}
    for n in nodes:
        row = {"node_id": n, "type": kinds[n], "value": f"v{n}"}
        memory.rows["silver.identifier"][n] = row
    links = memory.links()
    merges = {
        r["from_customer_id"]: r["customer_id"]
        for r in memory.rows["identity.change"].values()
        if r["kind"] == "merge"
    }
    past = next(c for c in sorted(merges) if c not in links.values())
    present = past
    while present not in links.values():
        present = merges[present]

    def read(name: str) -> DataFrame:
        if name == "gold.segment":
            ddl = contracts.table(name).ddl.replace(" NOT NULL", "")
            row = (present, "rfm", "high", None, None, None, None)
            return spark.createDataFrame([row, (present + 1, "rfm", "low", *row[3:])], ddl)
        if name == "gold.golden_record":
            ddl = contracts.table(name).ddl.replace(" NOT NULL", "")
            at, other = datetime(2026, 3, 1, 9, tzinfo=UTC), datetime(2026, 2, 1, 9, tzinfo=UTC)
            city = ("city", "Leeds", "crm", strongest, at, "recency", 3, 1)
            level = ("level", "gold", "pos", 7, other, "only value", 2, 2, [])
            york = [("York", "pos", other)]
            return spark.createDataFrame(
                [
                    (present, *city, york, 1),
                    (present, *level, 1),
                    (present + 1, *level, 1),
                ],
                ddl,
            )
        if name.startswith("gold."):
            return spark.createDataFrame([], contracts.table(name).ddl)
        if name == "silver.session":
            return sessions
        return memory.read(name)

    now = [n for n, c in links.items() if c == present]
    strongest = min(now, key=lambda n: str(n)[0])
    status = {n: r["status"] for (n,), r in memory.rows["identity.node"].items()}
    device = next(n for n, c in sorted(links.items()) if c == present and str(n)[0] in "34")
    person = next(n for n, c in sorted(links.items()) if c == present and str(n)[0] in "12")
    other = next(n for n, c in sorted(links.items()) if c != present and str(n)[0] == "1")
    at = [datetime(2026, 2, d) for d in range(1, 6)]  # noqa: DTZ001 - as Spark gives times back
    visits = [(at[0], 1, person, device), (at[1], 2, person, None), (at[2], 3, None, device)]
    visits += [(at[3], 4, other, device), (at[4], 5, None, 399)]
    sessions = spark.createDataFrame(
        [(*v, v[2] is not None, "web", Decimal(150), 7) for v in visits],
        "started_at TIMESTAMP, session_id BIGINT, owner_node BIGINT, device_node BIGINT, "
        "has_login BOOLEAN, channel STRING, seconds DECIMAL(18,3), events BIGINT",
    )
    own, day = (2, 2) if status[device] in ("shared", "limit") else (3, 3)

    told = list(customer_lines(read, rules, None, str(past)))
    assert told[0].startswith(f"customer {past} went into customer {merges[past]} on 2026-01-")
    start = told.index(f"customer {present}")
    changes = told.index("changes, the last first:")
    shown = [line.split("  from ")[0].strip() for line in told[start + 1 : changes]]
    assert sorted(
        s for s, line in zip(shown, told[start + 1 :], strict=False) if " to " not in line
    ) == (sorted(f"{kinds[n]} v{n}" for n in now))
    assert any(f"identifiers from customer {past}" in line for line in told[changes:])
    line = f"sessions: {own}, the last on 2026-02-{day:02} by web: 7 events in 2 minutes"
    assert line in told
    assert told[-5:] == [
        "golden record:",
        (
            f"  city Leeds  crm 2026-03-01, {kinds[strongest]} v{strongest}: recency; "
            "2 of 3 say otherwise: York (pos 2026-02-01)"
        ),
        "  level gold  pos 2026-02-01, identifier 7: only value",
        "segments:",
        "  rfm high  from None",
    ]

    by_value = list(customer_lines(read, rules, None, f"{kinds[strongest]}:v{strongest}"))
    assert by_value == told[start:]
    with pytest.raises(UsageError, match="no customer 999, and no record has that identifier"):
        list(customer_lines(read, rules, None, "999"))
