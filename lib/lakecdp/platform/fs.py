"""Files on any file system that Hadoop knows: local paths, hdfs://, s3a:// and so on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from typing import Any

from pyspark.sql import SparkSession

from lakecdp.platform.errors import LakecdpError

_MOST = (1 << 31) - 1


@dataclass(frozen=True)
class FileEntry:
    """One file: its URI, path below the folder listed, size in bytes and time of change (UTC)."""

    uri: str
    path: str
    bytes: int
    modified_at: datetime


def java(spark: SparkSession) -> Any:
    """Spark's Java side."""
    jvm = spark._jvm
    if jvm is None:
        raise LakecdpError("Spark's Java side is not running.")
    return jvm


def hadoop_path(spark: SparkSession, uri: str) -> tuple[Any, Any]:
    """The Hadoop file system and path object of a URI."""
    jvm = java(spark)
    path = jvm.org.apache.hadoop.fs.Path(uri)
    return path.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf()), path


def exists(spark: SparkSession, uri: str) -> bool:
    """Whether a file or folder is there."""
    fs, path = hadoop_path(spark, uri)
    return bool(fs.exists(path))


def list_files(spark: SparkSession, folder: str) -> list[FileEntry]:
    """All files below `folder`, in order of path.

    Names that begin with `.` or `_`, or end in `.tmp` or `.part`, are still being written and are
    passed over.

    Raises:
        LakecdpError: the folder does not exist or cannot be listed.
    """
    fs, root = hadoop_path(spark, folder)
    if not fs.exists(root):
        raise LakecdpError(f"The landing folder {folder} does not exist.")
    base = fs.makeQualified(root).toString().rstrip("/")
    found: list[FileEntry] = []
    try:
        listing = fs.listFiles(root, True)
        while listing.hasNext():
            status = listing.next()
            uri = status.getPath().toString()
            path = uri[len(base) + 1 :]
            if any(p.startswith(("_", ".")) for p in path.split("/")):
                continue
            if path.endswith((".tmp", ".part", ".crc")):
                continue
            changed = datetime.fromtimestamp(status.getModificationTime() / 1000, UTC)
            found.append(FileEntry(uri, path, status.getLen(), changed))
    except Exception as e:
        raise LakecdpError(
            f"The landing folder {folder} cannot be listed: {java_message(e)}"
        ) from None
    return sorted(found, key=lambda f: f.path)


def list_names(spark: SparkSession, folder: str) -> list[str]:
    """Names in a folder; none where it does not exist."""
    fs, path = hadoop_path(spark, folder)
    if not fs.exists(path):
        return []
    return [status.getPath().getName() for status in fs.listStatus(path)]


def matching(files: Iterable[FileEntry], patterns: Sequence[str]) -> list[FileEntry]:
    """The files whose path matches a pattern; `*` also matches across folders."""
    return [f for f in files if any(fnmatch(f.path, p) for p in patterns)]


def read_head(spark: SparkSession, uri: str, limit: int = 1 << 20) -> bytes:
    """The first bytes of a file, decompressed when its name ends in .gz, .bz2, .zst ...

    Raises:
        LakecdpError: it cannot be opened or decompressed.
    """
    jvm = java(spark)
    fs, path = hadoop_path(spark, uri)
    stream = None
    try:
        conf = spark._jsparkSession.sessionState().newHadoopConf()
        codec = jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(conf).getCodec(path)
        stream = fs.open(path)
        if codec is not None:
            stream = codec.createInputStream(stream)
        return bytes(
            jvm.org.apache.commons.io.IOUtils.toByteArray(
                jvm.org.apache.commons.io.input.BoundedInputStream(stream, limit)
            )
        )
    except Exception as e:
        raise LakecdpError(f"{uri} cannot be read: {java_message(e)}") from None
    finally:
        if stream is not None:
            stream.close()


def read_text(spark: SparkSession, uri: str) -> str:
    """A whole file as UTF-8.

    Raises:
        LakecdpError: it cannot be read.
    """
    return read_head(spark, uri, _MOST).decode("utf-8")


def write_bytes(spark: SparkSession, uri: str, body: bytes) -> None:
    """Write a whole file; one that is there is replaced."""
    fs, path = hadoop_path(spark, uri)
    stream = fs.create(path, True)
    try:
        stream.write(bytearray(body))
    finally:
        stream.close()


def delete(spark: SparkSession, uri: str) -> None:
    """Delete a file, or a folder with all in it; nothing where there is none."""
    fs, path = hadoop_path(spark, uri)
    fs.delete(path, True)


def java_message(error: Exception) -> str:
    """The innermost cause of a Java or Spark error as one line, without a stack trace."""
    java = getattr(error, "java_exception", None)
    if java is not None:
        while java.getCause() is not None:
            java = java.getCause()
        text = java.getMessage() or java.getClass().getSimpleName()
    else:
        text = str(error)
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:400]
