"""Texts of customers come to the terminal as they are."""

from __future__ import annotations

from lakecdp.commands.options import console, tell


def test_brackets_and_colons_are_no_markup() -> None:
    line = "pairs kept apart, limit:email: 5 before; [red] in [/] and https://example.test/1"
    with console.capture() as shown:
        tell([line])
    assert shown.get() == f"{line}\n"
