"""Topics of a real Kafka broker: offsets, bounds, unreadable records, a topic made anew."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from tests.spark.helpers import overlay, rows, run

MAPPING = """
source: clicks
kafka: {{topic: {topic}, servers_env: CLICKS_KAFKA{more}}}
columns:
  id: {{type: string, required: true}}
  at: {{type: timestamp, unit: ms, required: true}}
targets:
  - table: event
    columns: {{event_id: id, event_at: at, event_name: "'page_view'"}}
"""


@pytest.fixture
def clicks(spark, kafka, make_job, tmp_path: Path, monkeypatch):
    """A topic of two partitions, and a function that lands what is new in it."""
    monkeypatch.setenv("CLICKS_KAFKA", kafka)
    jvm = spark._jvm
    settings = jvm.java.util.HashMap()
    settings.put("bootstrap.servers", kafka)
    admin = jvm.org.apache.kafka.clients.admin.AdminClient.create(settings)

    class Clicks:
        topic = f"clicks.{uuid.uuid4().hex[:8]}"

        def make(self, more: str = "") -> None:
            new = jvm.org.apache.kafka.clients.admin.NewTopic(self.topic, 2, 1)
            admin.createTopics(jvm.java.util.List.of(new)).all().get()
            self.map(more)

        def map(self, more: str = "") -> None:
            overlay(tmp_path / "conf", clicks=MAPPING.format(topic=self.topic, more=more))

        def drop(self) -> None:
            admin.deleteTopics(jvm.java.util.List.of(self.topic)).all().get()

        def lose(self, partition: int, before: int) -> None:
            part = jvm.org.apache.kafka.common.TopicPartition(self.topic, partition)
            # Py4J takes the getter of the same name for it.
            name = "org.apache.kafka.clients.admin.RecordsToDelete"
            types, values = (
                spark.sparkContext._gateway.new_array(kind, 1)
                for kind in (jvm.java.lang.Class, jvm.java.lang.Object)
            )
            types[0], values[0] = jvm.java.lang.Long.TYPE, before
            loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
            method = loader.loadClass(name).getMethod("beforeOffset", types)
            offset = method.invoke(None, values)
            admin.deleteRecords(jvm.java.util.Map.of(part, offset)).all().get()

        def send(self, partition: int, *values: bytes | None) -> None:
            frame = spark.createDataFrame(
                [(self.topic, partition, None if v is None else bytearray(v)) for v in values],
                "topic string, partition int, value binary",
            )
            writer = frame.coalesce(1).write.format("kafka")
            writer.option("kafka.bootstrap.servers", kafka).save()

        def land(self):
            self.job = make_job(conf=tmp_path / "conf")
            self.summaries = run(self.job, "01_bronze/ingest")
            return self.summaries[-1]

        def landed(self) -> list[tuple]:
            found = self.job.read("bronze.clicks").selectExpr(
                f"replace(file, '{self.topic}', 't') as file", "line", "raw:id::string as id"
            )
            return rows(found, "file", "line", "id")

    yield Clicks()
    admin.close()


def record(number: int) -> bytes:
    return b'{"id": "%d",\n "at": 1767225600000}' % number


def test_records_land_once_and_unreadable_ones_are_kept_aside(clicks, monkeypatch) -> None:
    from lakecdp.bronze.mapping import load_sources
    from lakecdp.bronze.replay import replay
    from lakecdp.platform.ledger import Ledger

    clicks.make()
    assert clicks.land().outcome == "unchanged"
    clicks.send(0, b"no json", record(1), record(2))
    clicks.send(1, record(3), None, b"\xff\xfe", b"[1]")
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "publish", _die)
        with pytest.raises(KeyboardInterrupt):
            clicks.land()
    summary = clicks.land()
    assert (summary.rows_in, summary.rows_out, summary.rows_quarantined) == (7, 3, 4)
    assert clicks.landed() == [("t-0", 1, "1"), ("t-0", 2, "2"), ("t-1", 0, "3")]
    aside = rows(clicks.job.read("silver.quarantine"), "file", "line", "reason")
    assert [(f[-2:], n, why) for f, n, why in aside] == [
        ("-0", 0, "the record is not valid JSON"),
        ("-1", 1, "the record is not valid JSON"),
        ("-1", 2, "the record is not valid utf-8"),
        ("-1", 3, "the record is JSON but not an object"),
    ]
    before = dict(clicks.job.ledger.published)
    assert (clicks.land().outcome, clicks.job.ledger.published) == ("unchanged", before)
    clicks.send(1, record(4))
    assert clicks.land().rows_out == 1
    assert clicks.landed()[-1] == ("t-1", 4, "4")

    # Offset 0 is a record like others when the refused ones are tried again.
    again = clicks.job.named("01_bronze/replay")
    replay(again, load_sources(again.conf, again.settings, "clicks")[0])
    assert again.summaries[0].rows_in == 4
    assert again.read("silver.quarantine").where("status = 'open'").count() == 4


def _die(*_args) -> None:
    raise KeyboardInterrupt


def test_a_backlog_comes_in_batches_and_a_new_topic_is_another(clicks) -> None:
    clicks.make(", max_records: 4")
    clicks.send(0, *[record(n) for n in range(6)])
    clicks.send(1, *[record(n) for n in range(6, 9)])
    clicks.land()
    # 9 records by at most 4 at a time; small partitions get one at least.
    assert sum(s.rows_out for s in clicks.summaries) == 9
    assert len(clicks.summaries) == 3
    assert len(set(clicks.landed())) == 9

    clicks.send(0, record(9))
    clicks.send(0, record(10))
    clicks.lose(0, 7)
    clicks.land()
    gap = f"Kafka deleted offsets 6 to 6 of {clicks.topic}-0 before they were read"
    assert clicks.job.failures == [f"source clicks: {gap}; `lost: skip` goes on without them"]
    clicks.map(", lost: skip")
    summary = clicks.land()
    assert (summary.rows_out, summary.message) == (1, gap)
    clicks.drop()
    clicks.land()
    assert clicks.job.failures == [
        f"source clicks: Kafka topic {clicks.topic}: Kafka has no such topic"
    ]
    clicks.make()
    clicks.send(0, record(11))
    assert clicks.land().rows_out == 1
    assert clicks.landed()[-1] == ("t-1", 2, "8")
    assert ("t-0@2", 0, "11") in clicks.landed()


def test_only_what_comes_from_now_on(clicks) -> None:
    clicks.make(", start: latest")
    clicks.send(0, record(1))
    assert clicks.land().rows_out in (None, 0)
    clicks.send(0, record(2))
    assert clicks.land().rows_out == 1
    assert clicks.landed() == [("t-0", 1, "2")]


def test_a_batch_takes_its_share_of_each_partition() -> None:
    from lakecdp.bronze.connectors.kafka import limited

    assert limited({0: 5, 1: 0}, {0: 8, 1: 2}, 5) == ({0: 8, 1: 2}, False)
    assert limited({0: 0, 1: 0, 2: 7}, {0: 90, 1: 10, 2: 7}, 10) == ({0: 9, 1: 1, 2: 7}, True)
    # Every partition moves on, be its share less than one record.
    assert limited({0: 0, 1: 0}, {0: 1000, 1: 1}, 10) == ({0: 9, 1: 1}, True)
