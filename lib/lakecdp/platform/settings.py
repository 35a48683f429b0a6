"""Settings of an environment: `conf/base.yaml`, overlaid by `conf/<env>.yaml` and the user's folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lakecdp.platform import shipped, yamlfile
from lakecdp.platform.errors import ConfigError, UsageError

PLACES = ("lake", "landing", "reports")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SparkSettings(_Strict):
    """The Spark session of the local runner; a cluster's own settings come from spark-submit."""

    master: str = Field("local[*]", description="Used when nothing else names a master")
    driver_memory: str = Field("3g", pattern=r"^\d+[mg]$", description="Heap of the driver")
    shuffle_partitions: int | None = Field(
        None, ge=1, description="Null: by what a batch reads, at least one per core"
    )
    codegen: Literal["auto", "always", "never"] = Field(
        "auto", description="Java generated for Spark's plans; auto: where the data repays it"
    )
    conf: dict[str, str] = Field(default_factory=dict, description="Any further Spark settings")

    @field_validator("conf")
    @classmethod
    def _no_second_word(cls, conf: dict[str, str]) -> dict[str, str]:
        for key in conf:
            if key.startswith("spark.sql.codegen."):
                raise ValueError(f"`{key}` is set by `codegen`: auto, always or never")
        return conf


class HashSettings(_Strict):
    """The secret that identifiers are hashed with."""

    key_env: str = Field(
        "LAKECDP_HASH_KEY", description="Environment variable that holds the secret"
    )
    key: str | None = Field(None, description="The secret itself; only for demos and tests")


class MlflowSettings(_Strict):
    """Where models are tracked and registered."""

    tracking_uri: str | None = Field(None, description="Null: a local store beside the lake")
    experiment: str = "lakecdp"


class LeaseSettings(_Strict):
    """One writer per lake at a time."""

    wait_seconds: int = Field(0, ge=0, description="How long to wait for another run to end")
    expire_seconds: int = Field(
        120, ge=10, description="A holder silent for longer is taken for dead"
    )


class GraphSettings(_Strict):
    """How much of the identity graph one process holds."""

    in_memory_edges: int = Field(
        20_000_000,
        ge=1,
        description="So many edges are grouped on the driver (about 250 bytes each), more on executors",
    )


class AlertSettings(_Strict):
    """Whom alerts are told."""

    webhook_env: str = Field(
        "LAKECDP_ALERT_WEBHOOK", description="Environment variable that holds the address"
    )
    webhook: str | None = Field(
        None, pattern=r"^https?://", description="The address itself, where it is no secret"
    )
    tries: int = Field(3, ge=1, le=10, description="How often it is tried")
    timeout_seconds: float = Field(10, gt=0, le=300, description="Of one try")
    wait_seconds: float = Field(1, ge=0, le=60, description="Before the second try; then doubled")

    def hook(self) -> tuple[str, AlertSettings] | None:
        """The address and how it is tried; None where there is none.

        Raises:
            UsageError: the environment variable holds no address.
        """
        url = os.environ.get(self.webhook_env) or self.webhook
        if not url:
            return None
        if not url.startswith(("http://", "https://")):
            raise UsageError(
                f"The environment variable {self.webhook_env} must hold an address that begins with "
                "https:// or http://."
            )
        return url, self


OPTIONAL_JOBS = (
    "02_silver/flag_traffic",
    "03_identity/match",
    "04_tags/tag",
    "05_segments/segment",
    "06_models/train_churn",
    "06_models/review_churn",
    "06_models/score_churn",
    "08_measurement/coverage",
    "08_measurement/report",
    "09_operations/monitor",
)
"""Jobs that a company may do without: what they write is read only where it is there."""
OPTIONAL_STAGES = ("05_segments", "06_models", "08_measurement", "09_operations")
"""Stages all of whose jobs are optional."""


class Settings(_Strict):
    """All settings of one environment; every key may stand in base.yaml or <env>.yaml."""

    lake: str | None = Field(None, description="Folder or URI of the lake")
    landing: str | None = Field(None, description="Folder or URI where source files arrive")
    company: str = Field("company", description="Name on reports")
    currency: str = Field(
        "EUR", pattern=r"^[A-Z]{3}$", description="Currency of the lake (ISO 4217)"
    )
    exchange_rate_days: int = Field(
        7, ge=1, le=366, description="Days that an exchange rate holds, its own day included"
    )
    language: str = Field("en", pattern=r"^(en|zh)$", description="Language of reports")
    phone_region: str | None = Field(
        None, pattern=r"^[A-Z]{2}$", description="Country of phone numbers that have no prefix"
    )
    sources: list[str] | None = Field(
        None,
        description="Sources in use: names in conf/sources or conf/adapters; null: all of conf/sources",
    )
    without: list[str] = Field(
        default_factory=list, description="Jobs and stages that do not run, such as 06_models"
    )
    reports: str | None = Field(None, description="Folder of report pages; null: beside the lake")
    hash: HashSettings = HashSettings()
    spark: SparkSettings = SparkSettings()
    mlflow: MlflowSettings = MlflowSettings()
    lease: LeaseSettings = LeaseSettings()
    graph: GraphSettings = GraphSettings()
    alerts: AlertSettings = AlertSettings()

    @field_validator("without")
    @classmethod
    def _may_be_off(cls, names: list[str]) -> list[str]:
        allowed = (*OPTIONAL_STAGES, *OPTIONAL_JOBS)
        wrong = [n for n in names if n not in allowed]
        if wrong:
            raise ValueError(f"`{wrong[0]}` cannot be switched off; what can: {', '.join(allowed)}")
        return names

    def runs(self, job: str) -> bool:
        """Whether a job is not switched off."""
        return not {job, job.split("/", maxsplit=1)[0]} & set(self.without)

    def hash_key(self) -> str:
        """The secret for identifiers.

        Raises:
            UsageError: none is set.
        """
        key = os.environ.get(self.hash.key_env) or self.hash.key
        if not key:
            raise UsageError(
                f"No secret for hashing identifiers: set the environment variable {self.hash.key_env}."
            )
        return key


class Conf:
    """The business rules: shipped `conf/`, overlaid file by file by a user's folder.

    Args:
        overlay: a folder with the same layout; its files replace the shipped ones of that name,
            and its folder of `sources` replaces the shipped examples as a whole.
    """

    def __init__(self, overlay: str | Path | None = None):
        self.shipped = shipped.root() / "conf"
        self.overlay = Path(overlay) if overlay is not None else None
        if self.overlay is not None and not self.overlay.is_dir():
            raise UsageError(f"The folder {self.overlay} given as --conf does not exist.")

    def find(self, name: str) -> Path | None:
        """The file in force for `name` (such as `identity.yaml`), or None."""
        for root in (self.overlay, self.shipped):
            if root is not None and (root / name).is_file():
                return root / name
        return None

    def document(self, name: str) -> yamlfile.Document:
        """Load the file in force.

        Raises:
            ConfigError: there is none, or it is not valid YAML.
        """
        path = self.find(name)
        if path is None:
            raise ConfigError("the file is missing", name)
        return yamlfile.load(path)

    def folder(self, name: str, ending: str = "yaml") -> list[Path]:
        """The files in force in a folder, in order of name."""
        own = self.overlay / name if self.overlay is not None else None
        if name == "sources" and own is not None and own.is_dir():
            return sorted(own.glob(f"*.{ending}"))
        files: dict[str, Path] = {p.name: p for p in (self.shipped / name).glob(f"*.{ending}")}
        if own is not None:
            files |= {p.name: p for p in own.glob(f"*.{ending}")}
        return [files[n] for n in sorted(files)]

    def environments(self) -> list[str]:
        """Names that `--env` takes."""
        roots = [r for r in (self.shipped, self.overlay) if r is not None]
        return [
            n for n in ("demo", "dev", "prod") if any((r / f"{n}.yaml").is_file() for r in roots)
        ]


def load_settings(conf: Conf, env: str, **overrides: Any) -> Settings:
    """Settings of an environment, with command-line values on top.

    Raises:
        ConfigError: a wrong key or value, with file, line and what is allowed.
        UsageError: no such environment.
    """
    if env not in conf.environments():
        raise UsageError(f"No environment `{env}`: --env takes {', '.join(conf.environments())}.")
    merged: dict[str, Any] = {}
    for name in ("base.yaml", f"{env}.yaml"):
        for root in (conf.shipped, conf.overlay):
            if root is None or not (root / name).is_file():
                continue
            document = yamlfile.load(root / name)
            yamlfile.parse(document, Settings)
            merged = _overlay(merged, document.data)
    given = {k: v for k, v in overrides.items() if v is not None}
    every = _overlay(merged, given)
    return Settings.model_validate(every | {n: _absolute(every[n]) for n in PLACES if every.get(n)})


def _absolute(place: str) -> str:
    """A path that begins nowhere begins where the command was started; a URI stays as it is."""
    return place if ":/" in place else str(Path(place).expanduser().resolve())


def _overlay(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    out = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _overlay(out[key], value) if both else value
    return out
