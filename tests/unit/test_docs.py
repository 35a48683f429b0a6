"""The commands that the docs show are taken by the command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from lakecdp.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def shown() -> list[tuple[str, str]]:
    """Page and command of every line of a code block that begins with `lakecdp`."""
    found: list[tuple[str, str]] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = re.findall(r"```bash\n(.*?)```", text, re.S)
        blocks.append("\n".join(x[4:] for x in text.splitlines() if x.startswith("    lakecdp ")))
        lines = "\n".join(blocks).splitlines()
        commands = [x for x in lines if x.startswith("lakecdp ") and " | " not in x]
        found += [(page.name, x) for x in commands]
    return found


def test_enough_commands_are_found() -> None:
    assert len(shown()) > 12
    assert {"README.md", "add-a-tag.md", "review-a-model.md"} <= {p for p, _ in shown()}


@pytest.mark.parametrize(("page", "line"), shown())
def test_a_command_of_the_docs_is_taken(page: str, line: str) -> None:
    words = shlex.split(re.sub(r"[\[\]]", "", line), comments=True)[1:]
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(page, words)
