"""Online orders as the back office has booked them, those among them that no front end told of."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.simulator import app, visits
from lakecdp.simulator.randomness import text
from lakecdp.simulator.world import World, pick

SOURCE = "back_office"


def records(app_sent: DataFrame, web_sent: DataFrame, world: World) -> DataFrame:
    """One row per paid online order in the deliveries asked for, lost purchase events included.

    Args:
        app_sent: Result of `app.sent`.
        web_sent: Result of `web.sent`.
        world: The company and the deliveries asked for.
    """
    paid = f"code = {visits.PAY}"
    frame = pick(
        app_sent.where(paid),
        *("order_number", "ms", "day", "amount", "items"),
        channel="'app'",
        member_id=app.LOGIN,
        phone=app.PHONE,
        email="string(null)",
    ).unionByName(
        pick(
            web_sent.where(paid),
            *("order_number", "ms", "day", "amount", "items", "member_id", "phone", "email"),
            channel="'web'",
        )
    )
    frame = frame.withColumn("delivery", F.expr(world.delivery_sql("greatest(day, 0)")))
    return frame.where(f"delivery between {world.first} and {world.last}")


def lines(frame: DataFrame, world: World) -> DataFrame:
    """The lines of `records`: value STRING, delivery INT."""
    fields = {
        "order_no": "order_number",
        "channel": "channel",
        "ordered_at": f"concat({world.clock_sql('ms', 'T', millis=True)}, '+08:00')",
        "member_id": "member_id",
        "phone": "phone",
        "email": "email",
        "amount": "amount",
        "items": "items",
    }
    record = ", ".join(f"{text(name)}, {sql}" for name, sql in fields.items())
    return frame.select(F.expr(f"to_json(named_struct({record}))").alias("value"), "delivery")
