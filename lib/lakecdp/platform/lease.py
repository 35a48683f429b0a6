"""One writer per lake at a time, on every file system.

Delta's log store on S3 is safe for one driver only, and jobs restore what a killed run left
unpublished; both need that no other run is writing. A lease file in the lake says who is.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

from pyspark.sql import SparkSession

from lakecdp.platform import fs
from lakecdp.platform.errors import LakecdpError

NAME = "_lease.json"


class Lease:
    """Holds the lake for this process while the context lasts.

    A holder that is silent for `expire_seconds`, or whose process on this machine is gone, is
    taken for dead and its lease is taken over.

    Raises:
        LakecdpError: another live run holds the lake for longer than `wait_seconds`.
    """

    def __init__(self, spark: SparkSession, lake: str, *, wait_seconds: int, expire_seconds: int):
        self._files = _LocalFiles(lake) if _is_local(lake) else _HadoopFiles(spark, lake)
        self._lake = lake
        self._wait = wait_seconds
        self._expire = expire_seconds
        self._token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Lease:
        deadline = time.monotonic() + self._wait
        while not self._files.create(self._body()):
            holder = self._files.read()
            if holder is not None and not self._dead(holder):
                if time.monotonic() >= deadline:
                    raise LakecdpError(
                        f"Another run (process {holder.get('pid')} on {holder.get('host')}) is writing "
                        f"to {self._lake}: wait until it has ended, or end it."
                    )
                time.sleep(min(2.0, max(0.1, deadline - time.monotonic())))
            elif holder is not None:
                self._files.set_aside(self._token)
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
        holder = self._files.read()
        if holder is not None and holder.get("token") == self._token:
            self._files.delete()

    def _body(self) -> str:
        return json.dumps(
            {
                "token": self._token,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started": _process_start(os.getpid()),
                "beat": time.time(),
            }
        )

    def _beat(self) -> None:
        while not self._stop.wait(self._expire / 4):
            self._files.write(self._body())

    def _dead(self, holder: dict[str, Any]) -> bool:
        if holder.get("host") == socket.gethostname():
            pid = int(holder.get("pid", 0))
            return not _alive(pid) or _process_start(pid) != holder.get("started")
        return time.time() - float(holder.get("beat", 0)) > self._expire


def _is_local(uri: str) -> bool:
    return "://" not in uri or uri.startswith("file:")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _process_start(pid: int) -> str | None:
    """Start time of a process (Linux), so that a reused process id is not taken for its holder."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


class _LocalFiles:
    def __init__(self, lake: str):
        self._path = Path(lake.removeprefix("file://").removeprefix("file:")) / NAME

    def create(self, body: str) -> bool:
        # A link appears whole or not at all: a process killed while it writes leaves no half lease.
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f".{NAME}.{uuid.uuid4().hex}")
        draft.write_text(body)
        try:
            os.link(draft, self._path)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def read(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return found

    def write(self, body: str) -> None:
        draft = self._path.with_name(f".{NAME}.{uuid.uuid4().hex}")
        draft.write_text(body)
        draft.replace(self._path)

    def set_aside(self, token: str) -> None:
        aside = self._path.with_name(f".{NAME}.{token}")
        try:
            self._path.rename(aside)
            aside.unlink()
        except FileNotFoundError:
            return

    def delete(self) -> None:
        self._path.unlink(missing_ok=True)


class _HadoopFiles:
    def __init__(self, spark: SparkSession, lake: str):
        self._spark = spark
        self._uri = f"{lake.rstrip('/')}/{NAME}"

    def _put(self, body: str, *, overwrite: bool) -> None:
        fs_, path = fs.hadoop_path(self._spark, self._uri)
        builder = fs_.createFile(path).overwrite(overwrite).recursive()
        if not overwrite and self._uri.startswith("s3a:"):
            builder = builder.must("fs.option.create.conditional.overwrite", True)
        stream = builder.build()
        stream.write(bytearray(body.encode()))
        stream.close()

    def create(self, body: str) -> bool:
        fs_, path = fs.hadoop_path(self._spark, self._uri)
        if fs_.exists(path):
            return False
        try:
            self._put(body, overwrite=False)
        except Exception:
            if fs_.exists(path):
                return False
            raise
        return True

    def read(self) -> dict[str, Any] | None:
        fs_, path = fs.hadoop_path(self._spark, self._uri)
        if not fs_.exists(path):
            return None
        try:
            found: dict[str, Any] = json.loads(fs.read_head(self._spark, self._uri))
        except ValueError:
            return {}
        return found

    def write(self, body: str) -> None:
        self._put(body, overwrite=True)

    def set_aside(self, token: str) -> None:
        fs_, path = fs.hadoop_path(self._spark, self._uri)
        aside = path.suffix(f".{token}")
        if fs_.rename(path, aside):
            fs_.delete(aside, False)

    def delete(self) -> None:
        fs_, path = fs.hadoop_path(self._spark, self._uri)
        fs_.delete(path, False)
