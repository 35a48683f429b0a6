"""Fetches Delta's jars by Spark's own resolution and makes Java start quickly.

Leaves three things in `share/lakecdp` of the Python environment that runs it:

- `jars/`      Delta's jars, so that no session has to resolve them again;
- `jvm.jsa`    a class-data archive: what the JVM had loaded and verified after a warm-up that
               does what jobs do. Bound to this JVM and these jars by the JVM itself, which goes
               on without it where they differ. A failure to make it is no failure of the set-up;
- `spark.conf` conf/spark/local.conf with both of them, for `spark-submit --properties-file`.

Ends with a line `error: ...` on the standard output when the jars cannot be had.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(sys.prefix) / "share" / "lakecdp"
OPTIONS = "spark.driver.extraJavaOptions"
# A registry may say "not found" for a while for something that exists.
WAITS = (5, 15, 30, 60)


def properties(path: Path) -> dict[str, str]:
    """The settings of a file in the format of spark-defaults.conf."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.split(None, 1) for line in lines if line and not line.startswith("#"))
    return {key: value.strip() for key, value in pairs}


def start(conf: dict[str, str]) -> Any:
    """A Spark session with exactly these settings."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder
    for key, value in conf.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def resolve(target: Path) -> None:
    """Let Spark resolve its packages, and keep a copy of the jars in `target`."""
    conf = properties(ROOT / "conf/spark/local.conf")
    spark = start(conf | {"spark.master": "local[1]"})
    jars = [Path(unquote(urlparse(u).path)) for u in spark.conf.get("spark.jars").split(",")]
    spark.stop()
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for jar in jars:
        shutil.copyfile(jar, target / jar.name)


def fetch(target: Path) -> bool:
    """Resolve in a process of its own, again and again for two minutes."""
    for wait in (*WAITS, None):
        done = subprocess.run([sys.executable, __file__, "--resolve", str(target)], check=False)
        if done.returncode == 0:
            return True
        if wait is not None:
            print(f"Spark did not resolve the jars: another try in {wait} seconds.", flush=True)
            time.sleep(wait)
    return False


def work(spark: Any, folder: Path) -> None:
    """Touch what jobs use, so that its classes are in the archive."""
    from delta.tables import DeltaTable
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    table, other = (f"delta.`{folder / name}`" for name in ("one", "two"))
    spark.sql(
        f"create table {table} (k bigint, day date, v string, raw variant, amount decimal(18,4), "
        "ids array<struct<type string, node_id bigint>>, _batch bigint) "
        "using delta cluster by (day) tblproperties ('delta.enableDeletionVectors'='true')"
    )
    lines = folder / "lines"
    lines.mkdir()
    (lines / "a.csv").write_text("k;v\n1;a\n2;b\n", encoding="utf-8")
    (lines / "b.json").write_text('{"k": 3, "v": "c"}\n', encoding="utf-8")
    spark.read.option("header", True).option("sep", ";").csv(str(lines / "a.csv")).collect()
    spark.read.text(str(lines / "b.json")).select(
        F.expr("try_variant_get(try_parse_json(value), '$.v', 'string')"), "_metadata.file_path"
    ).collect()
    rows = spark.range(0, 2000, 1, 2).selectExpr(
        "id k",
        "date_add(date'2024-01-01', cast(id % 30 as int)) day",
        "sha2(cast(id as string), 256) v",
        'parse_json(concat(\'{"a":\', id, "}")) raw',
        "cast(id % 7 as decimal(18,4)) amount",
        "array(named_struct('type', 'email', 'node_id', id)) ids",
        "1L _batch",
    )
    rows.write.format("delta").mode("append").option("userMetadata", "{}").save(str(folder / "one"))
    news = rows.withColumn("_batch", F.lit(2)).where("k > 1500")
    DeltaTable.forPath(spark, str(folder / "one")).alias("t").merge(
        news.alias("s"), "t.k = s.k"
    ).whenMatchedUpdateAll("s.v <> t.v").whenNotMatchedInsertAll().execute()
    news.createOrReplaceTempView("news")
    spark.sql(
        f"merge into {table} t using news s on t.k = s.k "
        "when matched and s.k % 2 = 0 then update set * when not matched then insert *"
    ).collect()
    read = spark.read.format("delta").option("versionAsOf", 1).load(str(folder / "one"))
    first = Window.partitionBy("day").orderBy(F.desc("amount"), "k")
    (
        read.withColumn("n", F.row_number().over(first))
        .where("n <= 5")
        .join(F.broadcast(news.select("k", F.col("v").alias("w"))), "k", "left")
        .groupBy("day")
        .agg(
            F.sum("amount").alias("amount"),
            F.countDistinct("k").alias("ks"),
            F.max_by("v", F.struct("amount", "k")).alias("v"),
            F.collect_list("v").alias("vs"),
        )
        .orderBy("day")
        .write.format("delta")
        .mode("overwrite")
        .save(str(folder / "two"))
    )
    spark.sql(f"delete from {table} where k = 1").collect()
    spark.sql(f"describe history {table}").collect()
    spark.sql(f"select * from {table} anti join {other} using (day)").limit(5).toPandas()
    DeltaTable.forPath(spark, str(folder / "one")).restoreToVersion(1).collect()
    features = VectorAssembler(inputCols=["x", "y"], outputCol="features").transform(
        spark.range(200).selectExpr(
            "double(id % 13) x", "double(id % 7) y", "double(id % 2) label", "double(1) w"
        )
    )
    LogisticRegression(maxIter=3).fit(features).transform(features).collect()


def archive(conf: dict[str, str], target: Path) -> None:
    """Run the warm-up in a JVM that writes its classes into `target` when it ends."""
    fresh = target.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    options = f"{conf[OPTIONS]} -XX:ArchiveClassesAtExit={quoted(fresh)} {QUIET}"
    with tempfile.TemporaryDirectory() as folder:
        spark = start(conf | {OPTIONS: options, "spark.sql.warehouse.dir": f"{folder}/w"})
        work(spark, Path(folder))
        gateway = spark.sparkContext._gateway
        spark.stop()
        gateway.shutdown()
        # The JVM ends when its input closes, and writes the archive then.
        gateway.proc.stdin.close()
        gateway.proc.wait(timeout=180)
    fresh.replace(target)


# An archive that does not fit (another JVM, other jars) is passed over without a word.
QUIET = "-Xlog:disable -Xlog:all=error:stderr"


def quoted(path: Path) -> str:
    """A path as one word of a list of Java options."""
    return f'"{path}"' if " " in str(path) else str(path)


def main() -> int:
    """Fetch, warm up, write the settings."""
    if sys.argv[1:2] == ["--resolve"]:
        resolve(Path(sys.argv[2]))
        return 0
    jars = HOME / "jars"
    if not fetch(jars):
        print(
            "error: The jars of Delta Lake cannot be downloaded: connect this machine to the "
            "network, or name a repository that it reaches as spark.jars.repositories in "
            "conf/spark/local.conf"
        )
        return 1
    conf = properties(ROOT / "conf/spark/local.conf")
    del conf["spark.jars.packages"], conf["spark.jars.excludes"]
    conf["spark.driver.extraClassPath"] = ":".join(str(j) for j in sorted(jars.glob("*.jar")))
    target = HOME / "jvm.jsa"
    target.unlink(missing_ok=True)
    try:
        archive(conf, target)
    except Exception as e:
        print(f"No class-data archive was made, sessions start more slowly: {e}")
    if target.exists():
        conf[OPTIONS] += f" -XX:SharedArchiveFile={quoted(target)} -Xshare:auto {QUIET}"
    text = "".join(f"{key} {value}\n" for key, value in conf.items())
    (HOME / "spark.conf").write_text(
        "# Written by `make setup` from conf/spark/local.conf, for this machine only.\n" + text,
        encoding="utf-8",
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
