"""Data Docs made local: no page asks another host for anything, and the first page needs no script."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_SCRIPT = re.compile(r"<script\b[^>]*\bsrc=\"(?:https?:)?//[^\"]*\"[^>]*>\s*</script>", re.I)
_LINK = re.compile(r"<link\b[^>]*\bhref=\"(?:https?:)?//[^\"]*\"[^>]*>", re.I)
_IMAGE = re.compile(r"<img\b[^>]*\bsrc=\"(?:https?:)?//[^\"]*\"[^>]*>", re.I)
_HEAD_END = re.compile(r"</head>", re.I)
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1200px; padding: 1rem; color: #1d2733; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { border-bottom: 1px solid #d8dee6; padding: .35rem .6rem; text-align: left; vertical-align: top; }
td.number { text-align: right; }
.text-danger, .fail { color: #b00020; } .warn { color: #a15c00; } .text-success, .ok { color: #0a6b2d; }
.badge, .badge-secondary { background: #e6ebf1; border-radius: 4px; padding: 0 .3rem; }
ul { padding-left: 1.2rem; } nav img, .modal, .popover, button, .cooltip span { display: none; }
a { color: #0b5cad; }
"""


def make_local(folder: Path, suites: Sequence[Any], gates: Mapping[str, Mapping[str, Any]]) -> Path:
    """Take what comes from other hosts out of every page, and write the first page anew.

    Args:
        folder: a site that Great Expectations has built.
        suites: the suites on it.
        gates: table -> last gate, as kept in the ledger, with `at`.

    Returns:
        the first page.
    """
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for pattern in (_SCRIPT, _LINK, _IMAGE):
            text = pattern.sub("", text)
        text = _HEAD_END.sub(f"<style>{STYLE}</style></head>", text, count=1)
        page.write_text(text, encoding="utf-8")
    first = folder / "index.html"
    first.write_text(_first_page(folder, suites, gates), encoding="utf-8")
    return first


def _first_page(folder: Path, suites: Sequence[Any], gates: Mapping[str, Mapping[str, Any]]) -> str:
    rows = "\n".join(_row(folder, s, gates.get(s.table)) for s in suites)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Data Docs</title>'
        f"<style>{STYLE}</style></head><body><h1>Data Docs</h1>"
        "<p>The last gate of every table, and the expectations it is held to.</p>"
        "<table><thead><tr><th>table</th><th>state</th><th>rows looked at</th><th>expectations</th>"
        f"<th>not held</th><th>gate of (UTC)</th></tr></thead><tbody>{rows}</tbody></table></body></html>"
    )


def _row(folder: Path, suite: Any, gate: Mapping[str, Any] | None) -> str:
    schema, name = suite.table.split(".", 1)
    count = len(suite.expectations)
    cells = [_to(f"expectations/{schema}/{name}.html", suite.table)]
    if gate is None:
        cells += ["not looked at yet", "", str(count), "", ""]
    else:
        failed = gate["failed"]
        state = max((f["severity"] for f in failed), default="ok", key=["ok", "warn", "fail"].index)
        pages = sorted((folder / "validations" / schema / name).rglob("*.html"))
        said = f'<span class="{state}">{state}</span>'
        if pages:
            said = _to(pages[-1].relative_to(folder).as_posix(), state, state)
        at = f"{gate['at']:%Y-%m-%d %H:%M}"
        cells += [said, f"{gate['rows']:,}", str(count), str(len(failed)), at]
    return "<tr>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"


def _to(place: str, text: str, kind: str = "") -> str:
    return f'<a class="{kind}" href="{html.escape(place)}">{html.escape(text)}</a>'
