"""Errors a user can act on: one clear sentence each, mapped to the exit codes of the command."""

from __future__ import annotations

from pathlib import Path


class LakecdpError(Exception):
    """A run cannot go on; the message is one sentence that says what is wrong. Exit code 1."""

    exit_code = 1


class UsageError(LakecdpError):
    """Wrong arguments, configuration or rules; nothing has run. Exit code 2."""

    exit_code = 2


class ConfigError(UsageError):
    """A rule or setting is wrong, at a known place of a file.

    Args:
        message: what is wrong and what would be right.
        file: the YAML file.
        line: its line, 1-based, where known.
    """

    def __init__(self, message: str, file: Path | str | None = None, line: int | None = None):
        where = "" if file is None else f"{file}:{line}: " if line else f"{file}: "
        super().__init__(f"{where}{message}")
        self.file = str(file) if file is not None else None
        self.line = line


class GateError(LakecdpError):
    """An expectation marked `fail` does not hold; nothing of the batch is published."""


class LostRowsError(AssertionError):
    """Rows in are not rows out + duplicates + quarantined: a defect of the job."""
