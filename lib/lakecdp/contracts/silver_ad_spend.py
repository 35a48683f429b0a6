"""silver.ad_spend: what advertising cost and showed."""

from lakecdp.contracts.table import ARRIVED, OUTLIERS, REPAIRS, TableContract, column

CONTRACT = TableContract(
    name="silver.ad_spend",
    grain="one row per day, channel, campaign and ad group",
    owner="02_silver/conform",
    key=(
        "spend_date",
        "source",
        "channel",
        "campaign_id",
        "ad_group",
    ),
    cluster_by=("spend_date",),
    prune_by="spend_date",
    columns=(
        column("spend_date", "DATE", "Day in the zone of the advertising account", required=True),
        column("source", "STRING", "Source that delivered it", required=True),
        column("channel", "STRING", "search, social, display ...", required=True),
        column("campaign_id", "STRING", "Campaign", required=True),
        column("ad_group", "STRING", "Ad group; all where none is told", required=True),
        column("campaign_name", "STRING", "Name of the campaign"),
        column("cost", "DECIMAL(18,4)", "Amount spent, in currency", required=True),
        column("currency", "STRING", "ISO 4217 code", required=True),
        column("impressions", "BIGINT", "Times shown"),
        column("clicks", "BIGINT", "Clicks"),
        column("conversions", "DECIMAL(18,3)", "Conversions by the platform's own count"),
        column("conversion_value", "DECIMAL(18,4)", "Value of these, in currency"),
        REPAIRS,
        OUTLIERS,
        column(
            "_version_at", "TIMESTAMP", "Last one wins: the record's own time of change (lineage)"
        ),
        column("_content", "BIGINT", "Hash of the record's content; breaks ties (lineage)"),
        ARRIVED,
    ),
)
