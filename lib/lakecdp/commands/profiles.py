"""A folder of configuration to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakecdp.commands.options import tell

app = typer.Typer()


@app.command()
def init(
    profile: Annotated[
        str, typer.Argument(help="Kind of company: retail, finance, content or services.")
    ],
    folder: Annotated[Path, typer.Argument(help="Folder to write the configuration to.")],
) -> None:
    """Write a folder for --conf that suits a kind of company; nothing that is there is changed."""
    from lakecdp.profiles import start

    tell(start(profile, folder))
