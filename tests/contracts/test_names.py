"""Contracts, expectations, jobs, DAG and docs name the same tables and jobs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lakecdp import contracts
from lakecdp.pipeline import DAILY, between

ROOT = Path(__file__).parents[2]
FILES = (".yaml", ".md", ".py", ".show")
TABLES = set(contracts.all_tables())


def test_every_table_has_a_suite_and_a_page_and_nothing_else_has() -> None:
    suites = {
        re.search(r"^table: *(\S+)", p.read_text(), re.M).group(1)
        for p in (ROOT / "expectations").rglob("*.yaml")
    }
    assert {s for s in suites if "<" not in s} == TABLES
    pages = {p.stem for p in (ROOT / "docs/tables").glob("*.md")} - {"README", "bronze.source"}
    assert pages == TABLES


def test_every_owner_is_a_job_and_every_job_is_in_the_pipeline() -> None:
    jobs = {f"{p.parent.name}/{p.stem}" for p in (ROOT / "jobs").rglob("*.py")}
    assert jobs == {j.name for j in DAILY}
    owners = {t.owner for t in contracts.all_tables().values()}
    assert owners - jobs == {"platform/ledger"}


def test_code_and_conf_name_tables_that_exist() -> None:
    pattern = re.compile(r"\b(silver|identity|gold|operations)\.([a-z_]+)\b(?!\()")
    known = TABLES | {t.split(".")[0] for t in TABLES}
    wrong = []
    for folder in ("lib", "jobs", "conf", "docs"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix not in (".py", ".yaml", ".md") or "adr" in path.parts:
                continue
            for line in path.read_text().splitlines():
                if "import" in line or "lakecdp." in line:
                    continue
                named = (m[0] for m in pattern.finditer(line) if not m[0].endswith(FILES))
                wrong += [(path.name, name) for name in named if name not in known]
    assert not wrong


def test_table_reference_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools/table_docs.py", "--check"], check=False)
    assert done.returncode == 0, "run python tools/table_docs.py"


def test_pipeline_order_respects_what_jobs_read() -> None:
    seen: set[str] = set()
    for job in DAILY:
        assert set(job.after) <= seen
        seen.add(job.name)
    found = [j.task for j in between("02_silver", "resolve")]
    assert found == ["conform", "flag_traffic", "sessionize", "assemble", "match", "resolve"]
    with pytest.raises(ValueError, match="no job or stage `x`"):
        between("x", None)
    with pytest.raises(ValueError, match="comes before"):
        between("tag", "ingest")


def test_coordinates_of_jars_agree() -> None:
    from lakecdp.platform.jvm import EXCLUDES, PACKAGES

    for name in ("local", "cluster"):
        text = (ROOT / f"conf/spark/{name}.conf").read_text()
        assert f"spark.jars.packages {PACKAGES}" in re.sub(r" +", " ", text)
        assert EXCLUDES in text
