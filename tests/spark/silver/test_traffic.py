"""Invalid traffic: addresses and agents as the libraries see them, cases by hand, batches as plain loops."""

from __future__ import annotations

import random
from decimal import Decimal
from ipaddress import ip_address
from typing import Any

import pytest
from crawlerdetect import CrawlerDetect
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from tests.spark.silver.traffic_world import BROWSER, Flags, expected, seen, traffic, world

from lakecdp.platform.settings import Conf
from lakecdp.silver import addresses
from lakecdp.silver.agents import crawler
from lakecdp.silver.flag_traffic import FLAGS, LEFT
from lakecdp.silver.traffic_rules import Traffic

pytestmark = pytest.mark.spark

PHONE, TABLET, COOKIE = ("device_id", 301), ("device_id", 302), ("cookie", 401)


def bits_of(text: str) -> str | None:
    """By the standard library."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return f"{address.version}{int(address):0{address.max_prefixlen}b}"


def test_addresses_are_read_as_the_standard_library_reads_them(spark: SparkSession) -> None:
    dice = random.Random(1)
    texts = [str(ip_address(dice.getrandbits(32))) for _ in range(200)]
    texts += [str(ip_address(dice.getrandbits(128) & dice.getrandbits(128))) for _ in range(200)]
    texts += [str(ip_address(dice.getrandbits(64) << 64 | dice.getrandbits(3))) for _ in range(100)]
    texts += [
        "::",
        "::1",
        "1::",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "0.0.0.0",
    ]
    wrong = [
        *(
            "256.1.1.1",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1:2:3",
            "1::2::3",
            "12345::",
            ":::",
            "1:",
        ),
        *(
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7:8::",
            "shop.example.com",
            "unknown",
            "1.2.3.x",
            "g::1",
        ),
    ]
    spelled = {
        " 36.4.5.6 ": "36.4.5.6", "36.4.5.6:8080": "36.4.5.6", "[2400:3200::1]:443": "2400:3200::1",
        "::ffff:36.4.5.6": "36.4.5.6", "FE80::1%eth0": "fe80::1", "-": None, "": None,
    }  # fmt: skip
    frame = spark.createDataFrame([(t,) for t in (*texts, *wrong, *spelled)], "ip STRING")
    frame = frame.withColumn("plain", addresses.plain(F.col("ip"))).localCheckpoint()
    plain = F.col("plain")
    read = frame.select(
        "*", addresses.bits(plain).alias("bits"), addresses.impossible(plain).alias("impossible")
    )
    found = {r["ip"]: r for r in read.collect()}
    assert {t: found[t]["bits"] for t in (*texts, *wrong)} == {
        t: bits_of(t) for t in (*texts, *wrong)
    }
    assert {t: found[t]["plain"] for t in spelled} == spelled
    like = {t for t in wrong if t not in ("shop.example.com", "unknown", "1.2.3.x", "g::1")}
    assert {t for t in found if found[t]["impossible"]} == like


def test_crawlers_are_those_of_the_library(spark: SparkSession) -> None:
    from lakecdp.simulator.catalogue import BROWSERS, ROBOTS

    agents = [
        *BROWSERS,
        *(agent for agent, *_ in ROBOTS),
        "",
        "-",
        "Ruby",
        "facebookexternalhit/1.1",
    ]
    agents += [
        "Mozilla/5.0 (compatible; MSIE or Firefox mutant; not on Windows server; ) Daumoa/3.0",
        "Mozilla/5.0 (Windows NT 6.1) AppleWebKit/537.36 (KHTML, like Gecko; Google Web Preview) Safari",
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X18) AppleWebKit/537.36 Chrome/80.0 Mobile Safari/537.36",
        "LWP::Simple/5.827 libwww-perl/5.833", "SimplePie/1.3.1 (Feed Parser; Allow like Gecko)",
        "Opera/9.80 (X11; Linux x86_64) Presto/2.12.388 Version/12.16", "GPTBot/1.2", "Feedbin - 1",
    ]  # fmt: skip
    frame = spark.createDataFrame([(a,) for a in agents], "a STRING")
    library = CrawlerDetect()
    plain = {
        r["a"]: r["n"] for r in frame.select("a", crawler(F.col("a"), {}, ()).alias("n")).collect()
    }
    assert {a for a in agents if plain[a]} == {a for a in agents if library.is_crawler(a)}
    assert plain["GPTBot/1.2"] == "GPTBot"
    also = crawler(F.col("a"), {"an old browser": "opera/9"}, ("gptbot", "^ruby$"))
    named = {r["a"]: r["n"] for r in frame.select("a", also.alias("n")).collect()}
    changed = {a: n for a, n in named.items() if n != plain[a]}
    assert changed == {agents[-3]: "an old browser", "GPTBot/1.2": None, "Ruby": None}


def test_what_an_event_shows_by_itself(spark: SparkSession) -> None:
    shipped = Traffic.load(Conf())
    own = traffic(**shipped.rules.model_dump())
    log = {"http_method": "GET", "http_status": 200, "ip": "36.4.9.1"}
    cases: dict[str, tuple[dict[str, Any], list[str], str | None]] = {
        "fine": ({}, [], None),
        "nothing known": ({"ip": None, "user_agent": None}, [], None),
        "stated": ({"invalid_reason": "test order"}, ["stated"], "test order"),
        "crawler": ({"user_agent": "Googlebot/2.1"}, ["crawler"], "Googlebot"),
        "maker": ({"user_agent": "Chef (+http://a.example)"}, ["crawler"], "address of its maker"),
        "no agent": ({"user_agent": "-"}, ["no_agent"], "no user agent"),
        "private": ({"ip": "192.168.7.7"}, ["bogon"], "private"),
        "six": ({"ip": "2001:db8::5"}, ["bogon"], "documentation"),
        "mapped": ({"ip": "::ffff:10.0.0.1"}, ["bogon"], "private"),
        "impossible": ({"ip": "36.4.5.256"}, ["bogon"], "no address"),
        "a name": ({"ip": "host.example.com"}, [], None),
        "hosted": ({"ip": "185.1.2.255"}, ["datacentre"], "Hoster"),
        "hosted six": ({"ip": "2a0a:1:ffff::1"}, ["datacentre"], "Hoster"),
        "beside": ({"ip": "185.1.3.0"}, [], None),
        "short": ({"dwell_seconds": Decimal("2.999")}, ["short_view"], "under 3 s"),
        "long": ({"dwell_seconds": Decimal("3.000")}, [], None),
        "no view": ({"kind": "add_to_cart", "dwell_seconds": Decimal(1)}, [], None),
        "odd method": ({**log, "http_method": "PROPFIND"}, ["scanner"], "method PROPFIND"),
        "proxy": ({**log, "http_method": "CONNECT"}, ["scanner"], "method CONNECT"),
        "garbage": ({**log, "http_method": None, "http_status": 400}, ["scanner"], "no request"),
        "idle": ({**log, "http_method": None, "http_status": 408}, [], None),
        "path": ({**log, "page": "/blog/wp-login.php"}, ["scanner"], "administration"),
        "hidden": ({**log, "page": "/.git/config"}, ["scanner"], "hidden files"),
        "sql": ({**log, "page": "/p", "http_query": "id=1%27%20OR%201%3D1--%20"}, ["scanner"],
                "statements of SQL"),
        "sql twice": ({**log, "page": "/p", "http_query": "id=1%2527+union+select+1"}, ["scanner"],
                      "statements of SQL"),
        "broken": ({**log, "page": "/p", "http_query": "a=100%&b=%3Cscript%3E"}, ["scanner"], "scripts"),
        "up": ({**log, "page": "/static/..%2f..%2fetc/passwd"}, ["scanner"], "files of the system"),
        "shown": ({**log, "user_agent": f"{BROWSER} ${{jndi:ldap}}"}, ["scanner"], "commands"),
        "two": ({"ip": "10.0.0.9", "user_agent": "curl/8.5"}, ["crawler", "bogon"], "curl"),
        "both": ({"ip": "10.0.0.8", "dwell_seconds": Decimal(1)}, ["bogon", "short_view"], "private"),
    }  # fmt: skip
    lake = Flags(spark)
    # One device each and hours apart, so that nobody is judged with others.
    lake.deliver(
        seen(name, 90 * i, ("device_id", 1000 + i), **given)
        for i, (name, (given, *_)) in enumerate(cases.items())
    )
    lake.judge(own)
    assert lake.flags() == {name: reasons for name, (_, reasons, _) in cases.items() if reasons}
    assert {n: e[0] for n, e in lake.evidence().items()} == {
        name: shown for name, (_, reasons, shown) in cases.items() if reasons
    }
    kinds = {r["event_id"]: r["kind"] for r in lake.rows[FLAGS].values()}
    assert {n for n, k in kinds.items() if k == "not_effective"} == {"short"}
    assert set(kinds.values()) == {"invalid", "not_effective"}

    # A network of one's own: its addresses say nothing, and kinds can be switched off.
    other = own.rules.model_dump()
    other["addresses"]["trusted"] = ["10.0.0.0/8", "2001:db8::/32"]
    other["addresses"]["datacentre"]["flag"] = False
    other["crawlers"]["no_agent"] = other["scanners"]["flag"] = other["short_views"]["flag"] = False
    lake.judge(traffic(**other), full=True)
    left = {"six", "mapped", "hosted", "hosted six", "no agent", "short", "both", "odd method"}
    left |= {"proxy", "garbage", "path", "hidden", "sql", "sql twice", "broken", "up", "shown"}
    flags = {n: r for n, (_, r, _) in cases.items() if r and n not in left} | {"two": ["crawler"]}
    assert lake.flags() == flags
    assert {r["event_id"] for r in lake.rows[LEFT].values()} == left


def test_what_a_client_shows_over_time(spark: SparkSession) -> None:
    own = traffic(
        rates={"limits": [{"requests": 4, "seconds": 10}, {"requests": 6, "seconds": 600}]},
        scanners={
            "client_probes": 2, "misses": {"requests": 3, "seconds": 60},
            "probes": {"administration": "/wp-login"},
        },
        registrations={"accounts": 3, "hours": 24},
    )  # fmt: skip
    second = 1 / 60

    def many(name: str, start: float, count: int, gap: float, *ids: Any, **more: Any) -> list[Any]:
        return [seen(f"{name}{i}", start + i * gap * second, *ids, **more) for i in range(count)]

    miss = {"kind": "request", "http_method": "GET", "http_status": 404}
    lake = Flags(spark)
    lake.deliver(
        [
            # Four within 10 s: the fourth comes 9 s after the first; all of the day go, not the next.
            *many("fast", 0, 4, 3, PHONE), seen("fast later", 30, PHONE), seen("next day", 90, PHONE),
            # The fourth comes exactly 10 s after the first.
            *many("even", 0, 2, 1, TABLET), *many("even+", 10 * second, 2, 0.5, TABLET),
            # Over midnight, both days; of another agent on the same device, none.
            *many("night", 59.95, 4, 1, COOKIE), seen("night later", 300, COOKIE),
            seen("other agent", 59.9, COOKIE, user_agent="Mozilla/5.0 Safari/605"),
            # Files do not count; without device by address and agent, six in ten minutes.
            *many("file", 0, 20, 1, ip="36.4.1.1", kind="file_request"),
            *many("slow", 0, 6, 100, ip="36.4.1.2"), seen("neighbour", 1, ip="36.4.1.3"),
            # Two probes on a day: all of the address, whatever the agent, but not of a device there.
            *many("probe", 0, 2, 900, ip="36.4.2.1", page="/wp-login.php"),
            seen("page", 40, ip="36.4.2.1", user_agent="Mozilla/5.0 Safari/605"),
            seen("visitor", 41, ("device_id", 399), ip="36.4.2.1"),
            seen("one probe", 1, ip="36.4.2.2", page="/wp-login.php"), seen("page 2", 2, ip="36.4.2.2"),
            # Three missing pages in a minute; a miss that is no page's, or that is a timeout, is none.
            *many("miss", 0, 3, 29, ip="36.4.3.1", **miss), seen("page 3", 20, ip="36.4.3.1"),
            *many("missing file", 0, 3, 5, ip="36.4.3.2", **{**miss, "kind": "file_request"}),
            *many("idle", 0, 3, 5, ip="36.4.3.3", **{**miss, "http_status": 408}),
            # Three accounts on one device within a day, wherever it is; the same one thrice is one.
            *(seen(f"account{i}", 500 * i, ("member_id", 101 + i), ("device_id", 303),
                   kind="sign_up", ip=f"36.4.4.{i}") for i in range(3)),
            *(seen(f"again{i}", i, ("member_id", 101), ("device_id", 304), kind="sign_up")
              for i in range(3)),
            *(seen(f"spread{i}", 720 * i, ("member_id", 101 + i), ("device_id", 305), kind="sign_up")
              for i in range(3)),
        ]
    )  # fmt: skip
    lake.judge(own)
    by_reason: dict[str, set[str]] = {}
    for name, reasons in lake.flags().items():
        for reason in reasons:
            by_reason.setdefault(reason, set()).add(name)
    assert by_reason == {
        "rate": {f"fast{i}" for i in range(4)} | {"fast later"} | {f"night{i}" for i in range(4)}
        | {"night later"} | {f"slow{i}" for i in range(6)},
        "scanner": {"probe0", "probe1", "page", "one probe", "page 3"} | {f"miss{i}" for i in range(3)},
        "many_accounts": {f"account{i}" for i in range(3)},
    }  # fmt: skip
    shown = lake.evidence()
    assert shown["fast later"] == ["4 within 10 s"]
    assert shown["slow0"] == ["6 within 10 min"]
    assert (shown["page"], shown["page 3"]) == (
        ["2 probes on a day"],
        ["3 missing pages within 1 min"],
    )
    assert shown["account0"] == ["3 accounts within 1 d"]

    # One event late, and the tablet was too fast; one restated on another device, and the phone was not.
    lake.deliver(
        [seen("even late", 9 * second, TABLET), seen("fast3", 9 * second, ("cookie", 409))]
    )
    lake.judge(own)
    flags = lake.flags()
    assert all(flags[n] == ["rate"] for n in ("even0", "even1", "even+0", "even+1", "even late"))
    gone = {"fast0", "fast1", "fast2", "fast3", "fast later"}
    assert not gone & set(flags)
    assert {r["event_id"] for r in lake.rows[LEFT].values()} == gone
    assert lake.written[FLAGS] == 10
    lake.judge(own)
    assert not lake.written, "nothing new"


def test_batches_are_as_one_and_as_plain_loops(spark: SparkSession) -> None:
    own = traffic(
        rates={"limits": [{"requests": 3, "seconds": 20}, {"requests": 4, "seconds": 7200}]},
        scanners={
            "client_probes": 3, "misses": {"requests": 2, "seconds": 30},
            "probes": {"administration": "/wp-login"},
        },
        registrations={"accounts": 2, "hours": 2},
        addresses={"bogon": {"networks": {"private": ["10.0.0.0/8"]}}},
    )  # fmt: skip
    lake, dice, parts = Flags(spark), random.Random(3), world(3)
    for events, gone in parts:
        lake.deliver(events, gone=dice.sample(sorted(lake.events), gone) if gone else ())
        lake.judge(own)
    wanted = expected(lake.events.values(), own)
    found = {k: list(r["reasons"]) for k, r in lake.rows[FLAGS].items()}
    assert found == wanted
    assert {r for rs in found.values() for r in rs} >= {"rate", "scanner", "many_accounts", "bogon"}
    whole = Flags(spark)
    whole.events = lake.events
    whole.judge(own)
    assert whole.facts(FLAGS) == lake.facts(FLAGS)
