"""conf/traffic.yaml and conf/networks: what is accepted, what is refused and where."""

from __future__ import annotations

import random
import re
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path

import pytest

from lakecdp.platform.errors import ConfigError
from lakecdp.platform.settings import Conf
from lakecdp.silver.addresses import key
from lakecdp.silver.traffic_rules import Traffic

SHIPPED = Traffic.load(Conf())
NETWORK = "name: Ours\nsource: a list\nas_of: 2026-01-01\nnetworks: "


def rules(tmp_path: Path, text: str, **networks: str) -> Traffic:
    (tmp_path / "traffic.yaml").write_text(text)
    (tmp_path / "networks").mkdir(exist_ok=True)
    for name, given in networks.items():
        (tmp_path / "networks" / f"{name}.yaml").write_text(given)
    return Traffic.load(Conf(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crawlers: {flag: true, agent: x}", "1: unknown key `crawlers.agent`"),
        ("rates:\n  limits:\n    - {requests: 1, seconds: 5}", "3: `rates.limits.0.requests` is 1"),
        ("rates: {limits: [{requests: 5, seconds: 9}, {requests: 6, seconds: 9}]}", "two limits"),
        ("scanners:\n  probes:\n    bad: '(x'", r"3: `scanners.probes.bad`: '\(x' is no regular"),
        ("scanners: {methods: [get]}", "`scanners.methods.0` is 'get'"),
        ("addresses: {trusted: [10.0.0.1/8]}", "'10.0.0.1/8' is no network such as"),
        ("addresses:\n  datacentre: {networks: [aws, here]}", "2: there is no list .* has ali"),
        ("registrations: {accounts: 1}", "`registrations.accounts` is 1"),
    ],
)
def test_wrong_rules_are_refused_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rules(tmp_path, text)


def test_wrong_lists_of_networks_are_refused_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ours.yaml:4: '192.0.2.1/24' is no network"):
        rules(tmp_path, "{}", ours=NETWORK + "192.0.2.0/24 192.0.2.1/24")
    with pytest.raises(ConfigError, match=r"ours.yaml.* the key `as_of` is missing"):
        rules(tmp_path, "{}", ours="name: Ours\nsource: a list\nnetworks: 192.0.2.0/24")


def test_an_own_list_stands_beside_the_shipped_ones(tmp_path: Path) -> None:
    some = "addresses: {datacentre: {networks: [ours, aws]}}"
    found = rules(tmp_path, some, ours=NETWORK + "192.0.2.0/24")
    assert found.datacentres["ours"].networks == ("192.0.2.0/24",)
    assert set(found.datacentres) == {"aws", "ours"}
    assert set(rules(tmp_path, "{}").datacentres) == {*SHIPPED.datacentres, "ours"}


def test_a_fingerprint_follows_what_flags_depend_on(tmp_path: Path) -> None:
    first = rules(tmp_path, "{}").fingerprint()
    assert first == rules(tmp_path, "{}").fingerprint()
    changed = [rules(tmp_path, "rates: {flag: false}").fingerprint()]
    changed.append(rules(tmp_path, "{}", ours=NETWORK + "192.0.2.0/24").fingerprint())
    (tmp_path / "sessions.yaml").write_text("effective_view_seconds: 5")
    changed.append(rules(tmp_path, "{}").fingerprint())
    assert len({first, *changed}) == 4


def test_how_far_an_event_reaches(tmp_path: Path) -> None:
    assert SHIPPED.rules.reach == 1
    assert rules(tmp_path, "registrations: {hours: 49}").rules.reach == 3
    off = "{registrations: {flag: false}, scanners: {flag: false}, rates: {flag: false}}"
    assert rules(tmp_path, off).rules.reach == 0


def test_a_key_is_what_the_addresses_of_a_network_begin_with() -> None:
    assert key("192.0.2.0/24") == "4" + "11000000" + "00000000" + "00000010"
    assert key("fc00::/7") == "6" + "1111110"
    assert key("0.0.0.0/0") == "4"


def test_bogons_are_what_the_standard_library_knows_as_no_public_address() -> None:
    listed = [ip_network(n) for ns in SHIPPED.rules.addresses.bogon.networks.values() for n in ns]
    four = [n for n in listed if n.version == 4]
    dice = random.Random(5)
    picks = [IPv4Address(dice.getrandbits(32)) for _ in range(20_000)]
    picks += [a for n in four for a in (n[0], n[-1])]
    picks += [IPv4Address(int(a) + d) for a in picks[-2 * len(four) :] for d in (-1, 1)
              if 0 <= int(a) + d < 2**32]  # fmt: skip
    differs = ip_network("192.0.0.0/24")  # by version of Python
    for address in {a for a in picks if a not in differs}:
        public = address.is_global and not address.is_multicast
        assert any(address in n for n in four) != public, address
    for text in ("::1", "::", "fe80::1", "fd00::1", "2001:db8::1", "ff02::1", "100::1"):
        assert any(ip_address(text) in n for n in listed), text
    for text in ("2400:3200::1", "2606:4700:4700::1111", "2a00:1450:4001::1"):
        assert not any(ip_address(text) in n for n in listed), text


def test_lists_of_networks_name_their_source_and_hold_no_bogon() -> None:
    for one in SHIPPED.datacentres.values():
        assert one.source
        for text in one.networks:
            net = ip_network(text)
            assert net[0].is_global, text
            assert net.prefixlen >= (8 if net.version == 4 else 20), text


@pytest.mark.parametrize(
    "text",
    [
        "/p/tea-pot?id=5&ls=1&set=2 ",
        "/search ?q=sound+system+(5.1)&sort=asc ",
        "/search ?q=rock and roll or 2 for 1 ",
        "/shell-necklace ?type=gold;size=3 ",
        "/b/old-navy/backpack.html ",
        "/c/select-from-our-range ",
        "/%E5%A5%B6%E7%B2%89 奶粉 ",
        r"/\xe5\xa5\xb6 ",
        "https://shop.example.com/p/x ?utm_source=a&utm_campaign=50%25off ",
        "/checkout ?return=/cart&next=https://shop.example.com/done ",
        "/p/women's-and-men's-t-shirts--2-pack ",
        "/account/password/reset ?token=eyJhbGciOi.J9-_x~y= ",
        "ProductDetailActivity ",
        "/print/label?from=3 ",
    ],
)
def test_what_shops_link_to_is_no_probe(text: str) -> None:
    for name, pattern in SHIPPED.rules.scanners.probes.items():
        assert not re.search(f"(?i){pattern}", text), name


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (Linux; U; Android 9; id-id; Redmi 8) AppleWebKit/537.36 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) MicroMessenger/8.0.40 NetType/WIFI",
        "Opera/9.80 (MTK; Opera Mini/2.1199/34.1244; U; id) Presto/2.8.119 Version/11.10",
    ],
)
def test_what_browsers_show_is_no_probe(agent: str) -> None:
    shown = f"https://www.baidu.com/s?wd=union+of+<b>+and+select {agent}"
    for name, pattern in SHIPPED.rules.scanners.shown_probes.items():
        assert not re.search(f"(?i){pattern}", shown), name
