"""IP addresses and networks as texts of bits, so that a network is the beginning of its addresses.

Whether an address lies in one of thousands of networks is then an equality join, by as many keys as the
networks have different lengths.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import reduce
from ipaddress import IPv4Network, IPv6Network, ip_network

from pyspark.sql import Column
from pyspark.sql import functions as F

_V4 = r"^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:[.](?=[0-9])|$)){4}$"
_V6_PART = r"^(?:[0-9a-f]{1,4}(?::(?=[0-9a-f])|$))*$"
_USUAL = r"^[0-9.]{7,15}$"
_LIKE = r"^(?:[0-9]+(?:[.][0-9]+){2,}|[0-9a-f]*:[0-9a-f:.]*)$"


def plain(ip: Column) -> Column:
    """An address without port, brackets and zone, in small letters; IPv4 within IPv6 as IPv4.

    Args:
        ip: the address as it is logged.

    Returns:
        STRING; null where it is empty or `-`.
    """
    text = F.regexp_replace(F.lower(F.trim(ip)), r"^\[([^\]]*)\](?::[0-9]+)?$", "$1")
    text = F.regexp_replace(text, r"^([0-9.]+):[0-9]+$", "$1")
    text = F.regexp_replace(text, r"^::ffff:(?=[0-9]+[.])|%.*$|^-$", "")
    # The usual form is looked at once; what is longer than any address is none.
    odd = F.regexp_extract(text, "^.{1,64}", 0)
    return F.when(ip.rlike(_USUAL), ip).otherwise(F.nullif(odd, F.lit("")))


def bits(address: Column) -> Column:
    """The version of an address and its bits: `4` and 32, or `6` and 128 digits.

    Args:
        address: see `plain`.

    Returns:
        STRING; null for what is no address, such as the name of a host.
    """
    octets = F.transform(F.split(address, "[.]"), lambda o: F.lpad(F.bin(o.cast("bigint")), 8, "0"))
    four = F.concat(F.lit("4"), F.array_join(octets, ""))
    halves = F.split(address, "::", -1)
    left, right = _groups(F.get(halves, F.lit(0))), _groups(F.get(halves, F.lit(1)))
    missing = F.lit(8) - F.size(left) - F.size(right)
    parts = F.concat(left, F.array_repeat(F.lit("0"), F.greatest(missing, F.lit(0))), right)
    digits = F.transform(parts, lambda g: F.lpad(F.conv(g, 16, 2), 16, "0"))
    six = F.concat(F.lit("6"), F.array_join(digits, ""))
    good = F.when(F.size(halves) == 2, missing >= 1).otherwise(
        (F.size(halves) == 1) & (missing == 0)
    )
    good = good & F.forall(halves, lambda h: h.rlike(_V6_PART))
    return F.when(address.rlike(_V4), four).when(F.contains(address, F.lit(":")) & good, six)


def _groups(half: Column) -> Column:
    """The groups of one side of `::`; none where there is no such side."""
    given = F.coalesce(half, F.lit(""))
    return F.when(given == "", F.array().cast("array<string>")).otherwise(F.split(given, ":"))


def impossible(address: Column) -> Column:
    """Whether a text looks like an address and is none (BOOLEAN)."""
    return bits(address).isNull() & address.rlike(_LIKE)


def key(text: str) -> str:
    """The version of a network and the bits that all its addresses begin with."""
    net: IPv4Network | IPv6Network = ip_network(text)
    digits = f"{int(net.network_address):0{net.max_prefixlen}b}"
    return f"{net.version}{digits[: net.prefixlen]}"


def keys_of(address_bits: Column, networks: Iterable[str]) -> Column:
    """The keys that networks of these lengths have if they hold the address.

    Args:
        address_bits: see `bits`.
        networks: keys, see `key`.

    Returns:
        ARRAY<STRING>
    """
    lengths: dict[str, set[int]] = defaultdict(set)
    for one in networks:
        lengths[one[0]].add(len(one))
    first = F.substring(address_bits, 1, 1)
    choices = [
        F.when(
            first == kind,
            F.transform(
                F.array(*map(F.lit, sorted(found))), lambda n: F.substr(address_bits, F.lit(1), n)
            ),
        )
        for kind, found in sorted(lengths.items())
    ]
    return F.coalesce(*choices, F.array().cast("array<string>"))


def within(address_bits: Column, networks: Iterable[str]) -> Column:
    """Whether an address lies in one of a few networks (BOOLEAN, false for null)."""
    found = [F.startswith(address_bits, F.lit(key(n))) for n in networks]
    return F.coalesce(reduce(Column.__or__, found, F.lit(False)), F.lit(False))
