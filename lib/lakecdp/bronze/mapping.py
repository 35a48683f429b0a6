"""A source is one YAML mapping: where its files are, how they read, and what their columns mean."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lakecdp import contracts
from lakecdp.bronze.connectors.config import DeltaInput, HttpInput, Input, JdbcInput, KafkaInput
from lakecdp.platform import yamlfile
from lakecdp.platform.errors import ConfigError, UsageError
from lakecdp.platform.settings import Conf, Settings

TableName = Literal[
    "event",
    "order_header",
    "order_line",
    "payment",
    "product",
    "attribute",
    "touch",
    "contact",
    "review",
    "survey_answer",
    "footfall",
    "ad_spend",
    "calendar_day",
    "indicator",
    "exchange_rate",
    "product_cost",
    "control_total",
]
TARGETS: tuple[str, ...] = get_args(TableName)
WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
"""Encodings in which a line cannot be found without reading the file from its start."""
SIMPLE = ("string", "int", "bigint", "double", "boolean", "date", "timestamp", "variant")
INPUTS = ("kafka", "jdbc", "http", "delta")
DAYS = {
    "event": "event_date",
    "order_header": "order_date",
    "order_line": "order_date",
    "touch": "touch_date",
    "contact": "contact_date",
    "review": "review_date",
    "survey_answer": "answer_date",
    "footfall": "footfall_date",
}
"""Tables whose key has the day of their time."""
WHOLE_RECORD = "$"
"""Path of a column that is the record itself."""
ADAPTERS = "adapters"
"""Folder of mappings that are shipped to be put into use by name."""
DERIVED = {"identifiers", "owner_node", "source", "repairs", "outliers", *DAYS.values()}
_GROUP = re.compile(r"(?<!\\)\(\?P?<([A-Za-z]\w*)>")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileFormat(_Strict):
    """How the files of a source are written."""

    delimiter: str = Field(",", min_length=1, max_length=1, description="Between two fields of CSV")
    quote: str = Field('"', max_length=1, description="Around fields that hold a delimiter")
    escape: str = Field('"', max_length=1, description="Before a quote inside a quoted field")
    header: bool = Field(True, description="Whether the first line names the columns")
    multiline: bool = Field(
        False, description="Quoted fields may hold line breaks (one task a file)"
    )
    encoding: str = Field("utf-8", description="utf-8, gb18030, latin-1, windows-1252, utf-16 ...")
    null_value: str = Field(
        "", description="How a missing value is written, besides an empty field"
    )
    skip_lines: int = Field(0, ge=0, le=1000, description="Lines before the header of a CSV file")
    pattern: str | None = Field(
        None, description="What a line of text is: a regular expression with named groups"
    )
    max_record_bytes: int = Field(1 << 20, ge=1024, description="Longer records are kept aside")

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        # The names that Python gives are all known to Java, those that people write are not.
        try:
            return codecs.lookup(value).name
        except LookupError:
            raise ValueError(f"{value!r} is no known encoding") from None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            names = re.compile(_GROUP.sub(r"(?P<\1>", value)).groupindex
        except re.error as e:
            raise ValueError(f"it is no regular expression ({e})") from None
        if not names:
            raise ValueError("it names no group; write what is kept as (?<name>...)")
        return value

    @property
    def groups(self) -> dict[str, int]:
        """Names of the groups of `pattern` and their numbers."""
        return dict(re.compile(_GROUP.sub(r"(?P<\1>", self.pattern or "")).groupindex)

    @property
    def plain_pattern(self) -> str:
        """`pattern` with groups that are numbered only; Java allows no `_` in their names."""
        return _GROUP.sub("(", self.pattern or "")

    @model_validator(mode="after")
    def _one_task(self) -> FileFormat:
        if self.multiline and self.skip_lines:
            raise ValueError("`skip_lines` does not go with `multiline`")
        return self


class RawColumn(_Strict):
    """One column (or JSON path) of the record and its type."""

    type: str = "string"
    path: str | None = Field(
        None,
        description="JSON path such as $.properties.price; $ is the whole record; default: the name",
    )
    format: str | None = Field(None, description="Date pattern such as dd/MM/yyyy HH:mm")
    unit: Literal["s", "ms", "us", "auto"] | None = Field(
        None,
        description="Timestamp given as epoch number; auto: told by its size, where senders differ",
    )
    decimal: Literal[".", ","] = Field(
        ".", description="Before the decimals; with `,` a number may have `.` between thousands"
    )
    required: bool = Field(False, description="A record without it is refused")

    @field_validator("type")
    @classmethod
    def _type(cls, value: str) -> str:
        plain = value.strip().lower()
        known = plain in SIMPLE or re.fullmatch(r"decimal\(\d+, ?\d+\)", plain)
        if not known and not re.fullmatch(r"(array|map|struct)<.+>", plain):
            raise ValueError(
                f"{value!r} is no type: take {', '.join(SIMPLE)}, decimal(p,s) or array<...>"
            )
        return value.strip()

    @model_validator(mode="after")
    def _time_only(self) -> RawColumn:
        if (self.format or self.unit) and self.type not in ("date", "timestamp"):
            raise ValueError("`format` and `unit` go with the types date and timestamp only")
        if self.decimal == "," and not self.type.lower().startswith(("decimal", "double")):
            raise ValueError("`decimal` goes with the types decimal(p,s) and double only")
        return self


class Target(_Strict):
    """What a record becomes in one silver table; values are Spark SQL over the columns."""

    table: TableName
    where: str | None = Field(None, description="Which records; default: all")
    explode: str | None = Field(None, description="An array; one row for each `item` of it")
    columns: dict[str, str] = Field(
        default_factory=dict, description="Column of the table: expression"
    )
    attributes: dict[str, str] = Field(default_factory=dict, description="Attribute: expression")
    identifiers: dict[str, str] | None = Field(
        None, description="Type: expression; default: the source's"
    )
    version: str | None = Field(
        None, description="Time of change: of two records with one key the later wins"
    )

    @field_validator("columns", "attributes", "identifiers", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: str(v) if isinstance(v, int | float) and not isinstance(v, bool) else v
                for k, v in value.items()
            }
        return value

    @model_validator(mode="after")
    def _columns_exist(self) -> Target:
        contract = contracts.table(f"silver.{self.table}")
        usable = [c for c in contract.column_names if not c.startswith("_") and c not in DERIVED]
        if self.table == "attribute":
            usable = ["observed_at"]
            if not self.attributes and self.identifiers is None:
                raise ValueError("a target `attribute` needs `attributes` (name: expression)")
        elif self.attributes:
            raise ValueError("`attributes` goes with the target `attribute` only")
        for name in self.columns:
            if name not in usable:
                raise ValueError(
                    f"silver.{self.table} has no column `{name}`; it takes {', '.join(usable)}"
                )
        return self


class FileControls(_Strict):
    """The files of the source are held against silver.control_total."""

    amount: str | None = Field(None, description="Amount of a record, as control totals sum it")
    time: str | None = Field(
        None, description="Time of a record; its day is that of a file without control total"
    )


class SequenceControls(_Strict):
    """Records carry numbers without gaps, so that gaps tell what is missing."""

    stream: str = Field(description="What is numbered: a session, a device")
    number: str = Field(description="The number of the record in it")
    time: str = Field(description="When it happened; numbers rise with it")
    event: str | None = Field(None, description="Event, where each is numbered for itself")
    channel: str | None = Field(None, description="Default: that of the source")
    where: str | None = Field(
        None, description="Which records; default: all with stream and number"
    )
    first: int | None = Field(
        None, ge=0, description="Number that every stream begins with; null: streams go on for ever"
    )
    within_days: int = Field(
        2, ge=1, le=60, description="Days within which a stream goes on, or a device comes back"
    )


class OrderControls(_Strict):
    """The source has every order; other sources tell of each by an event."""

    order_id: str = Field(description="Order number, as events give it")
    time: str = Field(description="When the order was placed")
    channel: str | None = Field(None, description="Default: that of the source")
    where: str | None = Field(None, description="Which records; default: all with an order number")
    event: str = Field(
        "purchase", pattern=r"^[a-z][a-z0-9_]*$", description="GA4 name of the event"
    )
    within_days: int = Field(
        1, ge=0, le=60, description="Days by which event and order may be apart"
    )


class Controls(_Strict):
    """How it is known what should have arrived; see docs/how-to/measure-coverage.md."""

    files: FileControls | None = None
    sequence: SequenceControls | None = None
    orders: OrderControls | None = None

    @model_validator(mode="after")
    def _some(self) -> Controls:
        if not (self.files or self.sequence or self.orders):
            raise ValueError("give `files`, `sequence` or `orders`")
        return self

    def expressions(self) -> dict[tuple[str, str], str]:
        """Expressions over the columns of the source, by their place."""
        found: dict[tuple[str, str], str] = {}
        for part in ("files", "sequence", "orders"):
            given = getattr(self, part)
            for name, value in given or ():
                if isinstance(value, str) and (part, name) != ("orders", "event"):
                    found[part, name] = value
        return found


class SourceMapping(_Strict):
    """One source of records; see docs/how-to/add-a-source.md."""

    source: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,47}$", description="Name; also of its bronze table"
    )
    description: str = ""
    owner: str = ""
    lawful_basis: Literal[
        "consent",
        "contract",
        "legal_obligation",
        "vital_interests",
        "public_task",
        "legitimate_interests",
    ] = Field("contract", description="Why the data may be processed (GDPR article 6)")
    channel: str = Field("other", pattern=r"^[a-z_]+$")
    files: list[str] = Field(default_factory=list, description="Patterns below the landing folder")
    kafka: KafkaInput | None = None
    jdbc: JdbcInput | None = None
    http: HttpInput | None = None
    delta: DeltaInput | None = None
    format: Literal["csv", "json", "text"] = Field(
        "json", description="Of files, which must name it"
    )
    file: FileFormat = FileFormat()
    timezone: str = Field("UTC", description="Zone of times that carry no offset")
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="Default: the lake's")
    columns: dict[str, RawColumn] = Field(min_length=1)
    personal: list[str] = Field(default_factory=list, description="Columns that concern a person")
    sensitive: list[str] = Field(
        default_factory=list, description="Columns that need most protection"
    )
    let: dict[str, str] = Field(default_factory=dict, description="Named expressions, usable below")
    identifiers: dict[str, str] = Field(default_factory=dict, description="Type: expression")
    targets: list[Target] = Field(min_length=1)
    otherwise: Literal["quarantine", "ignore"] = Field(
        "quarantine", description="What happens to records that no target takes"
    )
    controls: Controls | None = Field(None, description="How it is known what should have arrived")

    @field_validator("columns", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                str(k): {"type": v} if isinstance(v, str) else v or {} for k, v in value.items()
            }
        return value

    @field_validator("files", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no time zone; take a name such as Europe/London")
        ZoneInfo(value)
        return value

    @model_validator(mode="after")
    def _one_input(self) -> SourceMapping:
        given = [n for n in ("files", *INPUTS) if getattr(self, n)]
        if len(given) != 1:
            said = " and ".join(f"`{n}`" for n in given) or "none"
            raise ValueError(f"give one of `files`, `kafka`, `jdbc`, `http`, `delta`; here: {said}")
        if self.controls and self.controls.files and not self.files:
            raise ValueError(f"control totals are of `files`; this source reads `{given[0]}`")
        if self.files and "format" not in self.model_fields_set:
            raise ValueError("`files` need a `format`: csv, json or text")
        if not self.files and self.format != "json":
            raise ValueError(f"`format: {self.format}` goes with `files`; {given[0]} gives JSON")
        return self

    @model_validator(mode="after")
    def _names(self) -> SourceMapping:
        for name in (*self.personal, *self.sensitive):
            if name not in self.columns:
                raise ValueError(
                    f"`{name}` is graded but is no column; the columns are {', '.join(self.columns)}"
                )
        if (self.format == "text") != (self.file.pattern is not None):
            raise ValueError("`format: text` and `pattern` under `file` go together")
        if self.format == "text":
            if self.file.multiline:
                raise ValueError("`multiline` does not go with `format: text`")
            groups = self.file.groups
            wrong = [n for n in self.file_columns if n not in groups]
            if wrong:
                raise ValueError(
                    f"the pattern has no group {', '.join(wrong)}; its groups are {', '.join(groups)}"
                )
        if self.file.skip_lines and (self.format != "csv" or self.file.encoding in WIDE):
            raise ValueError("`skip_lines` goes with CSV files that are read line by line only")
        twice = [n for n in self.let if n.lower() in {c.lower() for c in self.columns}]
        if twice:
            raise ValueError(f"`let` gives the name of a column again: {', '.join(twice)}")
        return self

    @property
    def bronze(self) -> str:
        """Name of the bronze table."""
        return f"bronze.{self.source}"

    @property
    def input(self) -> Input | None:
        """What the source is read from where that is no file."""
        return self.kafka or self.jdbc or self.http or self.delta

    @property
    def place(self) -> str:
        """For people: where records come from."""
        return self.input.place if self.input is not None else ", ".join(self.files)

    @property
    def file_columns(self) -> list[str]:
        """The names that the columns in use have in the files."""
        named = {n: c.path for n, c in self.columns.items() if c.path != WHOLE_RECORD}
        return [p.removeprefix("$.") if p else n for n, p in named.items()]

    @property
    def takes_all(self) -> bool:
        """Whether a column is the whole record, so that no field of it is new."""
        return any(c.path == WHOLE_RECORD for c in self.columns.values())

    @property
    def silver_tables(self) -> list[str]:
        """Silver tables that records of this source become, in the order in which they are written."""
        return [f"silver.{t}" for t in TARGETS if any(x.table == t for x in self.targets)]

    def fingerprint(self, *further: str) -> str:
        """Changes when the meaning of the records changes; not with files or descriptions."""
        body = self.model_dump(
            exclude={"description", "owner", "files", "lawful_basis", "controls", *INPUTS},
            mode="json",
        )
        text = json.dumps([body, *further], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Source:
    """A mapping and the document it came from, for errors with a line."""

    mapping: SourceMapping
    document: yamlfile.Document

    def error(self, message: str, *loc: str | int) -> ConfigError:
        """A `ConfigError` at the line of a key."""
        return self.document.error(message, *loc)


def load_source(path: Path) -> Source:
    """Read and check one mapping file.

    Raises:
        ConfigError: with file, line, what is wrong and what is allowed.
    """
    document = yamlfile.load(path)
    return Source(yamlfile.parse(document, SourceMapping), document)


def load_sources(conf: Conf, settings: Settings, only: str | None = None) -> list[Source]:
    """The sources in use, in order of name.

    A name in the setting `sources` that is not in the folder of sources is an adapter.

    Raises:
        ConfigError: a mapping is wrong, or two give the same name.
        UsageError: a name is asked for that does not exist.
    """
    found: dict[str, Source] = {}
    wanted = settings.sources
    files = conf.folder("sources")
    if wanted is not None:
        own = {p.stem for p in files}
        files += [p for p in conf.folder(ADAPTERS) if p.stem in wanted and p.stem not in own]
    for path in files:
        if wanted is not None and path.stem not in wanted and only is None:
            continue
        source = load_source(path)
        name = source.mapping.source
        if name in found:
            raise source.error(
                f"the source `{name}` is already defined in {found[name].document.path}", "source"
            )
        found[name] = source
    for name in [only] if only else wanted or []:
        if name not in found:
            raise UsageError(
                f"No source `{name}`; there are: {', '.join(sorted(found)) or 'none'}."
                f" Adapters to put into use: {', '.join(p.stem for p in conf.folder(ADAPTERS))}."
            )
    chosen: Mapping[str, Source] = found if only is None else {only: found[only]}
    return [chosen[n] for n in sorted(chosen)]


def find_source(conf: Conf, given: str) -> Source:
    """A mapping by its file, or by the name of a source or adapter.

    Raises:
        ConfigError: the mapping is wrong.
        UsageError: there is no such file and no such name.
    """
    if Path(given).is_file():
        return load_source(Path(given))
    files = {p.stem: p for f in (ADAPTERS, "sources") for p in conf.folder(f)}
    if given not in files:
        raise UsageError(
            f"No mapping {given}: give a file, or one of {', '.join(sorted(files)) or 'none'}."
        )
    return load_source(files[given])
