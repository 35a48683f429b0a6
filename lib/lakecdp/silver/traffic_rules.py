"""The rules of `conf/traffic.yaml` and the networks of `conf/networks`: what is no valid traffic."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.platform import yamlfile
from lakecdp.platform.settings import Conf
from lakecdp.silver.session_rules import SessionRules

RULES = "traffic.yaml"
NETWORKS = "networks"
AGENTS = "crawlerdetect"
"""The library whose list of crawlers is used."""
DAY = 86_400


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as e:
        raise ValueError(f"{pattern!r} is no regular expression ({e})") from None
    return pattern


def network(text: str) -> IPv4Network | IPv6Network:
    """A network written as address/length.

    Raises:
        ValueError: it is none, or bits of the address beyond the length are set.
    """
    try:
        return ip_network(text)
    except ValueError as e:
        raise ValueError(f"{text!r} is no network such as 192.0.2.0/24 ({e})") from None


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        network(text)
    return texts


Pattern = Annotated[str, AfterValidator(_compiles)]
NetworkList = Annotated[tuple[str, ...], AfterValidator(_networks)]
Seconds = Annotated[int, Field(ge=1, le=31 * DAY)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Crawlers(_Group):
    """Agents that name themselves."""

    flag: bool = True
    no_agent: bool = Field(default=True, description="Whether to flag requests that show no agent")
    also: dict[str, Pattern] = Field(default={}, description="Further agents by name")
    never: tuple[Pattern, ...] = Field(default=(), description="Agents that are no crawlers")


class Limit(_Group):
    """So many requests of one client within seconds."""

    requests: int = Field(ge=2)
    seconds: Seconds


class Scanners(_Group):
    """Requests that no visitor of a shop makes."""

    flag: bool = True
    methods: tuple[Annotated[str, Field(pattern=r"^[A-Z]+$")], ...] = Field(
        default=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), min_length=1
    )
    probes: dict[str, Pattern] = Field(default={}, description="What scanners ask for, by name")
    shown_probes: dict[str, Pattern] = Field(
        default={}, description="What scanners show as referrer or agent, by name"
    )
    client_probes: int = Field(default=5, ge=1, description="Probes on a day that show a scanner")
    misses: Limit = Field(
        default=Limit(requests=20, seconds=60), description="Missing pages that show a scanner"
    )


class Rates(_Group):
    """Paces that no person keeps up."""

    flag: bool = True
    limits: tuple[Limit, ...] = ()


class Bogon(_Group):
    """Addresses that nobody on the internet has."""

    flag: bool = True
    networks: dict[str, NetworkList] = Field(default={}, description="Networks by what they are")


class Datacentre(_Group):
    """Networks in which machines live."""

    flag: bool = True
    networks: Literal["all"] | tuple[str, ...] = Field(
        default="all", description=f"Files of conf/{NETWORKS}"
    )


class Addresses(_Group):
    """What an address says of its client."""

    trusted: NetworkList = Field(default=(), description="Networks whose addresses say nothing")
    bogon: Bogon = Bogon()
    datacentre: Datacentre = Datacentre()


class Registrations(_Group):
    """Many accounts opened on one device."""

    flag: bool = True
    accounts: int = Field(default=5, ge=2, description="Different accounts")
    hours: int = Field(default=24, ge=1, le=31 * 24, description="Within so many hours")
    channels: tuple[str, ...] | None = Field(default=None, description="Where; null: everywhere")


class ShortViews(_Group):
    """Views too short to be effective."""

    flag: bool = True


class TrafficRules(_Group):
    """`conf/traffic.yaml`."""

    crawlers: Crawlers = Crawlers()
    scanners: Scanners = Scanners()
    rates: Rates = Rates()
    addresses: Addresses = Addresses()
    registrations: Registrations = Registrations()
    short_views: ShortViews = ShortViews()

    @model_validator(mode="after")
    def _apart(self) -> Self:
        seconds = [limit.seconds for limit in self.rates.limits]
        twice = next((s for s in seconds if seconds.count(s) > 1), None)
        if twice:
            raise ValueError(f"rates.limits has two limits within {twice} seconds")
        return self

    @property
    def reach(self) -> int:
        """Days before and after an event whose events it may cause to be judged otherwise."""
        spans = [limit.seconds for limit in self.rates.limits] if self.rates.flag else []
        if self.scanners.flag:
            spans.append(self.scanners.misses.seconds)
        if self.registrations.flag:
            spans.append(self.registrations.hours * 3600)
        return -(-max(spans, default=0) // DAY)


class _NetworkFile(_Group):
    name: str = Field(min_length=1)
    source: str = Field(min_length=1)
    as_of: date
    networks: str = Field(description="Networks with blanks between them")


@dataclass(frozen=True)
class Networks:
    """Networks of one provider.

    Attributes:
        name: of the provider.
        source: where the list is from.
        as_of: the day of the list.
        networks: as address/length.
    """

    name: str
    source: str
    as_of: date
    networks: tuple[str, ...]


@dataclass(frozen=True)
class Traffic:
    """All that an event is judged by.

    Attributes:
        rules: `conf/traffic.yaml`.
        datacentres: networks of `conf/networks` in use, by file.
        sessions: `conf/sessions.yaml`, for the shortest effective view.
        identities: the identity rules, for what stands for a device or a person.
    """

    rules: TrafficRules
    datacentres: Mapping[str, Networks]
    sessions: SessionRules
    identities: IdentityRules

    @classmethod
    def load(cls, conf: Conf) -> Traffic:
        """The rules in force.

        Raises:
            ConfigError: a wrong key or value, with file and line.
        """
        document = conf.document(RULES)
        rules = yamlfile.parse(document, TrafficRules)
        files = {p.stem: p for p in conf.folder(NETWORKS)}
        wanted = rules.addresses.datacentre.networks
        for i, name in enumerate(() if wanted == "all" else wanted):
            if name not in files:
                raise document.error(
                    f"there is no list of networks `{name}`; conf/{NETWORKS} has "
                    f"{', '.join(files) or 'none'}",
                    *("addresses", "datacentre", "networks", i),
                )
        chosen = list(files) if wanted == "all" else list(wanted)
        found = {n: _load_networks(yamlfile.load(files[n])) for n in sorted(chosen)}
        return cls(rules, found, SessionRules.load(conf), IdentityRules.load(conf))

    def fingerprint(self) -> str:
        """Changes whenever the same events may be judged otherwise."""
        parts = [
            self.rules.model_dump(mode="json"),
            {n: [d.name, d.networks] for n, d in self.datacentres.items()},
            self.sessions.effective_view_seconds,
            [(t.name, t.of) for t in self.identities.types],
            version(AGENTS),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _load_networks(document: yamlfile.Document) -> Networks:
    given = yamlfile.parse(document, _NetworkFile)
    texts = tuple(given.networks.split())
    for text in texts:
        try:
            network(text)
        except ValueError as e:
            raise document.error(str(e), "networks") from None
    return Networks(given.name, given.source, given.as_of, texts)
