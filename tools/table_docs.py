"""Write docs/tables from the contracts; `--check` says whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lib"))

from lakecdp import contracts  # noqa: E402
from lakecdp.contracts.bronze_source import for_source  # noqa: E402
from lakecdp.contracts.table import TableContract  # noqa: E402

FOLDER = ROOT / "docs" / "tables"


def page(t: TableContract) -> str:
    """The reference of one table."""
    lines = [f"# {t.name}", "", f"Grain: {t.grain}.", "", f"Written by `{t.owner}`.", ""]
    if t.key:
        lines += [f"Key: {', '.join(t.key)}.", ""]
    if t.notes:
        lines += [t.notes, ""]
    lines += ["| column | type | grade | required | meaning |", "|---|---|---|---|---|"]
    for c in t.all_columns:
        kind = c.type.replace("|", "\\|")
        lines.append(
            f"| {c.name} | {kind} | {c.grade} | {'yes' if c.required else ''} | {c.description} |"
        )
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """All files of docs/tables by name."""
    tables = [for_source("_source_"), *contracts.all_tables().values()]
    named = {("bronze.source" if t.name == "bronze._source_" else t.name): t for t in tables}
    found = {
        f"{n}.md": page(t).replace("bronze._source_", "bronze.<source>") for n, t in named.items()
    }
    index = ["# Tables", "", "Written from the contracts by `tools/table_docs.py`.", ""]
    index += ["| table | grain | written by |", "|---|---|---|"]
    for n, t in sorted(named.items()):
        index.append(f"| [{n}]({n}.md) | {t.grain} | {t.owner} |")
    return found | {"README.md": "\n".join(index) + "\n"}


def main() -> int:
    """Write, or with --check compare; 1 when something differs."""
    wanted = pages()
    if "--check" in sys.argv:
        present = {p.name: p.read_text() for p in FOLDER.glob("*.md")}
        return int(present != wanted)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.md"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
