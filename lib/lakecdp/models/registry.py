"""Models in MLflow: runs, versions and the aliases `champion` and `challenger`.

MLflow is imported when it is needed only: that takes seconds.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from lakecdp.platform.errors import LakecdpError, UsageError
from lakecdp.platform.settings import Settings

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel

CHAMPION = "champion"
CHALLENGER = "challenger"
MODEL = "model"
KEY = "lakecdp.key"


@dataclass(frozen=True)
class Version:
    """A registered version of a model, with what its run has recorded."""

    number: int
    run_id: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass
class Record:
    """What a run leaves behind.

    Attributes:
        key: the same for a repetition of the same training, so that it is not registered twice.
        params: settings it was made with.
        metrics: its figures.
        tags: of the run and of the version.
        texts: artifacts by file name.
    """

    key: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    texts: Mapping[str, str] = field(default_factory=dict)


def local_path(uri: str) -> Path | None:
    """The path of a local folder given as path or file: URI; None for anything else."""
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return None if "://" in uri else Path(uri)


def tracking_uri(settings: Settings) -> str:
    """Where models are tracked: as set, else a SQLite file in `<lake>-mlflow`.

    Raises:
        UsageError: the lake is not local and nothing is set.
    """
    if settings.mlflow.tracking_uri:
        return settings.mlflow.tracking_uri
    return f"sqlite:///{_store(settings) / 'mlflow.db'}"


def _store(settings: Settings) -> Path:
    lake = local_path((settings.lake or "").rstrip("/"))
    if not settings.lake or lake is None:
        raise UsageError(
            f"The lake {settings.lake} is not on this machine, so models cannot be tracked beside "
            "it: set `mlflow.tracking_uri` in the settings of the environment."
        )
    lake = lake.absolute()
    return lake.with_name(f"{lake.name}-mlflow")


class Registry:
    """The versions of one model.

    Args:
        settings: name the tracking server and the experiment.
        model: the model; its name in MLflow is `<experiment>-<model>`.

    Raises:
        LakecdpError: (from any method) MLflow does not answer, or refuses.
    """

    def __init__(self, settings: Settings, model: str):
        self.uri = tracking_uri(settings)
        self.model = model
        self.name = f"{settings.mlflow.experiment}-{model}"
        self._experiment = settings.mlflow.experiment
        self._folder = None if settings.mlflow.tracking_uri else _store(settings)

    @property
    def exists(self) -> bool:
        """False when the local store has not been made yet: then there are no versions."""
        return self._folder is None or (self._folder / "mlflow.db").is_file()

    @cached_property
    def _mlflow(self) -> Any:
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        import mlflow
        import mlflow.spark

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        return mlflow

    @cached_property
    def _client(self) -> Any:
        mlflow = self._mlflow
        if self._folder is not None and not self.exists:
            # Made under another name first: a killed run leaves no half-made store.
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = self._folder / f"mlflow.db.{os.getpid()}"
            fresh.unlink(missing_ok=True)
            mlflow.MlflowClient(f"sqlite:///{fresh}", f"sqlite:///{fresh}").search_experiments()
            fresh.replace(self._folder / "mlflow.db")
        return mlflow.MlflowClient(self.uri, self.uri)

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        try:
            yield self._client
        except LakecdpError:
            raise
        except Exception as e:
            first = (str(e).splitlines() or [type(e).__name__])[0]
            raise LakecdpError(f"MLflow at {_shown(self.uri)} refuses: {first[:300]}") from None

    # Reading

    def _aliases(self) -> dict[str, int]:
        if not self.exists:
            return {}
        with self._asking() as client:
            try:
                found = client.get_registered_model(self.name).aliases
            except self._mlflow.exceptions.MlflowException as e:
                if e.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return {}
            return {alias: int(number) for alias, number in found.items()}

    def version(self, number: int) -> Version:
        """One version by its number."""
        with self._asking() as client:
            found = client.get_model_version(self.name, str(number))
            run = client.get_run(found.run_id)
            return Version(
                number, found.run_id, found.tags, dict(run.data.params), dict(run.data.metrics)
            )

    def aliased(self) -> tuple[Version | None, Version | None]:
        """The champion and the challenger; a challenger that is the champion already is none."""
        aliases = self._aliases()
        champion, challenger = aliases.get(CHAMPION), aliases.get(CHALLENGER)
        if challenger == champion:
            challenger = None
        return (
            None if champion is None else self.version(champion),
            None if challenger is None else self.version(challenger),
        )

    def find(self, key: str) -> Version | None:
        """The version that a training with this key has registered, if any."""
        if not self.exists:
            return None
        with self._asking() as client:
            found = client.search_model_versions(
                f"name = '{self.name}' AND tags.`{KEY}` = '{key}'", max_results=1
            )
        return self.version(int(found[0].version)) if found else None

    def load(self, version: Version) -> PipelineModel:
        """The fitted pipeline of a version."""
        with self._asking(), tempfile.TemporaryDirectory() as folder:
            model: PipelineModel = self._mlflow.spark.load_model(
                f"models:/{self.name}/{version.number}", dfs_tmpdir=self._scratch(folder)
            )
        return model

    # Writing

    def register(self, record: Record, model: PipelineModel) -> Version:
        """Log a run with its model and register it as a new version without an alias."""
        with self._asking() as client, tempfile.TemporaryDirectory() as folder:
            experiment = self._experiment_id(client)
            self._end_dead_runs(client, experiment, record.key)
            run_id = client.create_run(
                experiment, run_name=self.name, tags={**record.tags, KEY: record.key}
            ).info.run_id
            self._log(client, run_id, record)
            self._mlflow.spark.save_model(
                model,
                str(Path(folder) / MODEL),
                dfs_tmpdir=self._scratch(folder),
                pip_requirements=_requirements(),
            )
            client.log_artifacts(run_id, str(Path(folder) / MODEL), MODEL)
            client.set_terminated(run_id)
            self._ensure_name(client)
            source = f"{client.get_run(run_id).info.artifact_uri}/{MODEL}"
            made = client.create_model_version(
                self.name,
                source,
                run_id,
                tags={**record.tags, KEY: record.key},
                await_creation_for=60,
            )
        return self.version(int(made.version))

    def point(self, alias: str, version: Version) -> None:
        """Give an alias to a version; whichever had it loses it."""
        with self._asking() as client:
            client.set_registered_model_alias(self.name, alias, str(version.number))

    def unpoint(self, alias: str) -> None:
        """Take an alias away."""
        with self._asking() as client:
            client.delete_registered_model_alias(self.name, alias)

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with self._asking() as client:
            for key, value in tags.items():
                client.set_model_version_tag(self.name, str(version.number), key, value)

    def _experiment_id(self, client: Any) -> str:
        found = client.get_experiment_by_name(self._experiment)
        if found is not None:
            return str(found.experiment_id)
        place = None if self._folder is None else (self._folder / "artifacts").as_uri()
        return str(client.create_experiment(self._experiment, artifact_location=place))

    def _ensure_name(self, client: Any) -> None:
        try:
            client.create_registered_model(self.name)
        except self._mlflow.exceptions.MlflowException as e:
            if e.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _end_dead_runs(self, client: Any, experiment: str, key: str) -> None:
        """Close what a killed training of the same data left open."""
        where = f"tags.`{KEY}` = '{key}' AND attributes.status = 'RUNNING'"
        for run in client.search_runs([experiment], where):
            client.set_terminated(run.info.run_id, "KILLED")

    def _log(self, client: Any, run_id: str, record: Record) -> None:
        from mlflow.entities import Metric, Param

        client.log_batch(
            run_id,
            metrics=[Metric(k, v, 0, 0) for k, v in record.metrics.items()],
            params=[Param(k, str(v)) for k, v in record.params.items()],
        )
        for name, text in record.texts.items():
            client.log_text(run_id, text, name)

    def _scratch(self, folder: str) -> str | None:
        """Where Spark writes and reads models: on a cluster MLflow's default, seen by all nodes."""
        return None if self._folder is None else str(Path(folder) / "spark")


def _requirements() -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in ("mlflow", "pyspark", "numpy")]


def _shown(uri: str) -> str:
    """The URI without the credentials that it may carry."""
    parsed = urlparse(uri)
    if "@" not in parsed.netloc:
        return uri
    return parsed._replace(netloc=parsed.netloc.rsplit("@", 1)[1]).geturl()
