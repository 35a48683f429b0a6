"""Fetches the jars of the servers that tests start (tools/servers.xml) into .cache/servers.

Ivy, which does it, is one of pyspark's jars. Ends with a line `error: ...` when they cannot be had.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / ".cache" / "servers"
# A registry may say "not found" for a while for something that exists.
WAITS = (5, 15, 30, 60)


def spark_jars() -> Path:
    """The folder of jars in pyspark."""
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        raise SystemExit("error: pyspark is not installed")
    return Path(found.origin).parent / "jars"


def java() -> str:
    """The command of the JVM in use."""
    home = os.environ.get("JAVA_HOME")
    return f"{home}/bin/java" if home else "java"


def fetch() -> bool:
    """Let Ivy resolve and copy the jars, again and again for two minutes."""
    pattern = f"{TARGET}/[conf]/[artifact]-[revision].[ext]"
    command = [java(), "-cp", f"{spark_jars()}/*", "org.apache.ivy.Main", "-m2compatible"]
    command += ["-cache", str(ROOT / ".cache" / "ivy"), "-ivy", str(ROOT / "tools/servers.xml")]
    command += ["-types", "jar", "bundle", "-retrieve", pattern]
    for wait in (*WAITS, None):
        shutil.rmtree(TARGET, ignore_errors=True)
        if subprocess.run(command, check=False).returncode == 0 and list(TARGET.glob("*/*.jar")):
            return True
        if wait is not None:
            print(f"The jars were not resolved: another try in {wait} seconds.", flush=True)
            time.sleep(wait)
    return False


if __name__ == "__main__":
    if not fetch():
        print(
            "error: The jars of the servers for tests cannot be downloaded: connect this machine "
            "to the network"
        )
        sys.exit(1)
