"""The `lakecdp` command."""

from __future__ import annotations

import logging
import sys

import typer

from lakecdp.commands import runs, tables
from lakecdp.commands.identity import customer_app, identity_app
from lakecdp.commands.linkage import linkage_app
from lakecdp.commands.models import model_app
from lakecdp.commands.profiles import app as profile_commands
from lakecdp.commands.sources import quarantine_app, source_app
from lakecdp.platform import logs
from lakecdp.platform.errors import LakecdpError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
app.add_typer(runs.app)
app.add_typer(tables.app)
app.add_typer(profile_commands)
NAMED = {
    "source": source_app,
    "quarantine": quarantine_app,
    "quality": tables.quality_app,
    "identity": identity_app,
    "customer": customer_app,
    "linkage": linkage_app,
    "model": model_app,
}
for _name, _group in NAMED.items():
    app.add_typer(_group, name=_name)


def main() -> None:
    """Entry point: one clear sentence and an exit code for whatever goes wrong."""
    logs.configure()
    try:
        code = app(standalone_mode=False)
    except LakecdpError as e:
        _quit(str(e), e.exit_code)
    except typer.Exit as e:
        sys.exit(e.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _quit("stopped", 1)
    except Exception as e:
        if hasattr(e, "format_message"):
            _quit(e.format_message(), 2)
        logging.getLogger("lakecdp").debug("failed", exc_info=True)
        from lakecdp.platform.fs import java_message

        _quit(java_message(e), 1)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _quit(sentence: str, code: int) -> None:
    print(f"lakecdp: {sentence}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
