"""silver.touch: what marketing sent to people, and what they did with it."""

from lakecdp.contracts.table import (
    ARRIVED,
    IDENTIFIERS_TYPE,
    OUTLIERS,
    REPAIRS,
    TableContract,
    column,
)

CONTRACT = TableContract(
    name="silver.touch",
    grain="one row per message and what happened to it",
    owner="02_silver/conform",
    key=(
        "touch_date",
        "touch_id",
    ),
    cluster_by=("touch_date",),
    prune_by="touch_date",
    columns=(
        column("touch_date", "DATE", "Day of the touch (UTC)", required=True),
        column(
            "touch_id", "STRING", "Id given by the source, or a hash of the content", required=True
        ),
        column("touched_at", "TIMESTAMP", "When it happened (UTC)", required=True),
        column(
            "touch_type",
            "STRING",
            "sent, delivered, opened, clicked, converted, bounced, complained or unsubscribed",
            required=True,
        ),
        column("source", "STRING", "Source that delivered it", required=True),
        column("channel", "STRING", "email, sms, app_push, wechat, phone ...", required=True),
        column(
            "identifiers",
            IDENTIFIERS_TYPE,
            "Identifiers the record came with, strongest first",
            required=True,
        ),
        column("owner_node", "BIGINT", "Strongest identifier of the record; null when it has none"),
        column("message_id", "STRING", "Message that it belongs to; the same from sent to clicked"),
        column("campaign_id", "STRING", "Campaign"),
        column("campaign_name", "STRING", "Name of the campaign"),
        column("variant", "STRING", "Variant or arm of a test"),
        column("template", "STRING", "Template or creative"),
        column("link", "STRING", "What was clicked"),
        column("reason", "STRING", "Why it bounced or was left"),
        column("cost", "DECIMAL(18,4)", "Cost of the touch, in currency"),
        column("currency", "STRING", "ISO 4217 code"),
        column("properties", "VARIANT", "Everything else the source delivered", grade="personal"),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
