"""What a mapping says of its input where that is no file: `kafka`, `jdbc`, `http` or `delta`.

Secrets stand in environment variables; a mapping names the variable.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lakecdp.platform.errors import LakecdpError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def environment(name: str) -> str:
    """The value of an environment variable.

    Raises:
        LakecdpError: it is not set.
    """
    value = os.environ.get(name)
    if not value:
        raise LakecdpError(f"the environment variable {name} is not set")
    return value


class Overlapping(_Strict):
    """How a pull finds what is new: a watermark, an overlap for what comes late, and a key."""

    key: list[str] = Field(min_length=1, description="Columns that tell one row from another")
    watermark: str | None = Field(
        None, description="Column that grows with every change; none: everything is compared"
    )
    overlap: str | int | None = Field(
        None,
        description="How late a row may show: 30m, 2h, 1d, or a number; default 1h, 1d (dates), 1000",
    )

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("overlap")
    @classmethod
    def _span(cls, value: str | int | None) -> str | int | None:
        if isinstance(value, str) and not re.fullmatch(r"\d+ ?[smhd]", value):
            raise ValueError(f"{value!r} is no span: write 30m, 2h, 1d, or a number")
        if isinstance(value, int) and value < 0:
            raise ValueError("an overlap is not negative")
        return value

    @model_validator(mode="after")
    def _needs_a_watermark(self) -> Overlapping:
        if self.overlap is not None and self.watermark is None:
            raise ValueError("`overlap` goes with `watermark`")
        return self

    @property
    def span(self) -> timedelta | int | None:
        """The overlap as a time or a number."""
        if isinstance(self.overlap, str):
            return timedelta(**{_UNITS[self.overlap[-1]]: int(self.overlap[:-1])})
        return self.overlap


class KafkaInput(_Strict):
    """A topic; values are JSON, one object each."""

    topic: str = Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    servers: str | None = Field(None, description="host:port,...; or `servers_env`")
    servers_env: str | None = Field(None, pattern=_VARIABLE)
    start: Literal["earliest", "latest"] = Field("earliest", description="Of the first run")
    max_records: int = Field(
        5_000_000, ge=1, description="In one batch; the rest follows in others"
    )
    lost: Literal["fail", "skip"] = Field(
        "fail", description="When Kafka deleted records before they were read"
    )
    options: dict[str, str] = Field(
        default_factory=dict, description="Settings of Kafka's client, such as security.protocol"
    )
    options_env: dict[str, str] = Field(
        default_factory=dict, description="Setting: environment variable that holds its value"
    )

    @model_validator(mode="after")
    def _servers_once(self) -> KafkaInput:
        if (self.servers is None) == (self.servers_env is None):
            raise ValueError("give one of `servers` and `servers_env`")
        return self

    def client(self) -> dict[str, str]:
        """Settings of Kafka's client, secrets filled in."""
        servers = self.servers or environment(str(self.servers_env))
        secret = {name: environment(variable) for name, variable in self.options_env.items()}
        return (
            {"isolation.level": "read_committed"}
            | self.options
            | secret
            | {"bootstrap.servers": servers}
        )

    @property
    def place(self) -> str:
        """For people: what it reads."""
        return f"Kafka topic {self.topic}"


class JdbcInput(Overlapping):
    """A table or view of a database."""

    url_env: str = Field(pattern=_VARIABLE, description="Variable that holds the JDBC URL")
    user_env: str | None = Field(None, pattern=_VARIABLE)
    password_env: str | None = Field(None, pattern=_VARIABLE)
    table: str = Field(min_length=1, description="Table or view, with its schema")
    partitions: int = Field(1, ge=1, le=200, description="Connections that read at once")
    options: dict[str, str] = Field(
        default_factory=dict,
        description="Options of Spark's JDBC source, such as driver, fetchsize",
    )

    @model_validator(mode="after")
    def _partitions_need_a_watermark(self) -> JdbcInput:
        if self.partitions > 1 and self.watermark is None:
            raise ValueError("`partitions` cuts the range of the `watermark`, and there is none")
        return self

    @property
    def place(self) -> str:
        """For people: what it reads."""
        return f"table {self.table}"


class Paging(_Strict):
    """How an API is asked for the next page."""

    by: Literal["none", "number", "offset", "cursor", "link", "next"] = Field(
        "none",
        description="number and offset count; cursor: a value of the answer; link: the header Link; "
        "next: an address in the answer",
    )
    parameter: str | None = Field(None, description="Parameter of number, offset or cursor")
    first: int | None = Field(None, description="Of the first page; default 1, offsets 0")
    size_parameter: str | None = Field(None, description="Parameter of the page size")
    size: int = Field(100, ge=1, description="Records asked for in a page")
    path: str | None = Field(None, description="Where the cursor or next address stands: meta.next")

    @model_validator(mode="after")
    def _complete(self) -> Paging:
        if self.by in ("number", "offset", "cursor") and not self.parameter:
            raise ValueError(f"paging by {self.by} needs `parameter`")
        if self.by in ("cursor", "next") and not self.path:
            raise ValueError(f"paging by {self.by} needs `path`")
        return self


class HttpInput(Overlapping):
    """An API that gives records in pages of JSON."""

    url: str | None = Field(None, pattern=r"^https?://", description="Address; or `url_env`")
    url_env: str | None = Field(None, pattern=_VARIABLE)
    token_env: str | None = Field(None, pattern=_VARIABLE, description="Variable of the token")
    auth_header: str = Field("Authorization", description="Header that carries the token")
    auth_prefix: str = "Bearer "
    headers: dict[str, str] = Field(default_factory=dict)
    params: dict[str, str | int] = Field(default_factory=dict, description="Of every request")
    records: str | None = Field(None, description="Where the list stands: data.items; none: at top")
    page: Paging = Paging()
    since: str | None = Field(None, description="Parameter that takes the watermark to read from")
    since_format: Literal["iso", "s", "ms"] = "iso"
    retries: int = Field(5, ge=0, le=20, description="After 429, 5xx, or no answer")
    timeout_seconds: int = Field(30, ge=1)
    max_pages: int = Field(100_000, ge=1, description="A pull with more pages fails")

    @model_validator(mode="after")
    def _address_once(self) -> HttpInput:
        if (self.url is None) == (self.url_env is None):
            raise ValueError("give one of `url` and `url_env`")
        if self.since and not self.watermark:
            raise ValueError("`since` takes the `watermark`, and there is none")
        return self

    @property
    def place(self) -> str:
        """For people: what it reads."""
        return self.url or f"the address in {self.url_env}"


class DeltaInput(_Strict):
    """A Delta table that others write."""

    table: str = Field(min_length=1, description="Folder, URI, or a name in Spark's catalog")
    key: list[str] = Field(
        default_factory=list,
        description="Columns that tell rows apart; needed where rows are rewritten without a change feed",
    )

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @property
    def place(self) -> str:
        """For people: what it reads."""
        return f"Delta table {self.table}"


Input = KafkaInput | JdbcInput | HttpInput | DeltaInput
