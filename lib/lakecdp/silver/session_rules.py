"""The rules of `conf/sessions.yaml`: where a session ends, and what brought the visitor."""

from __future__ import annotations

import hashlib
import json
import re

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.platform import yamlfile
from lakecdp.platform.settings import Conf

RULES = "sessions.yaml"
MINUTES_OF_DAY = 1440
_PATH = re.compile(r"\$(\.[A-Za-z_$][\w$]*|\['[^'\\]+'\]|\[\d+\])+")
_PARAMETER = re.compile(r"[\w.\-]+")


class Campaign(BaseModel):
    """Where an event says what brought the visitor, best place first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: tuple[str, ...] = Field(default=(), description="Site, application or list")
    medium: tuple[str, ...] = Field(default=(), description="Kind of traffic: cpc, email ...")
    campaign: tuple[str, ...] = Field(default=(), description="Name of the campaign")

    @field_validator("source", "medium", "campaign")
    @classmethod
    def _places(cls, places: tuple[str, ...]) -> tuple[str, ...]:
        for place in places:
            known = _PATH if place.startswith("$") else _PARAMETER
            if not known.fullmatch(place):
                raise ValueError(
                    f"{place!r} is neither a path into the properties, such as $.utm_source or "
                    "$['a name'], nor the name of a parameter of the page's address"
                )
        return places


class SessionRules(BaseModel):
    """`conf/sessions.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inactivity_minutes: int = Field(
        default=30, ge=1, le=MINUTES_OF_DAY, description="A longer pause ends a session"
    )
    max_hours: int | None = Field(
        default=None, ge=1, le=8760, description="A longer session is cut every so many hours"
    )
    split_on_campaign: bool = Field(
        default=False, description="Another source, medium or campaign begins a new session"
    )
    session_hint: bool = Field(
        default=True, description="What a source states as different sessions stays apart"
    )
    effective_view_seconds: int = Field(
        default=3, ge=0, le=3600, description="A view known to be shorter is not effective"
    )
    campaign: Campaign = Campaign()

    @classmethod
    def load(cls, conf: Conf) -> SessionRules:
        """The rules in force.

        Raises:
            ConfigError: a wrong key or value, with file and line.
        """
        return yamlfile.parse(conf.document(RULES), cls)

    def fingerprint(self, identities: IdentityRules) -> str:
        """Changes whenever the same events may make other sessions or have other owners.

        Args:
            identities: the identity rules: which types there are, in which order, and of what.
        """
        parts = [self.model_dump(mode="json"), [(t.name, t.of) for t in identities.types]]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
