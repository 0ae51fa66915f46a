"""The first schema: every table of "The house stands"."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("rung", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), server_default="", nullable=False),
        sa.Column("carrier", sa.Text(), server_default="", nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), server_default="", nullable=False),
        sa.Column("data", sa.Text(), server_default="{}", nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("acked_us", sa.BigInteger(), nullable=True),
        sa.Column("acked_by", sa.Text(), server_default="", nullable=False),
        sa.Column("cleared_us", sa.BigInteger(), nullable=True),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("key", name=op.f("uq_alerts_key")),
    )
    op.create_index("ix_alerts_open", "alerts", ["cleared_us", "id"], unique=False)
    op.create_index("ix_alerts_subject", "alerts", ["subject"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), server_default="[]", nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=True),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_keys_hash")),
    )
    op.create_table(
        "endpoints",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("events", sa.Text(), server_default="[]", nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoints")),
        sa.UniqueConstraint("url", name=op.f("uq_endpoints_url")),
    )
    op.create_table(
        "idempotency",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_digest", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("status", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_idempotency")),
    )
    op.create_table(
        "orders",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("order", sa.Text(), server_default="{}", nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("proof_email", sa.Text(), server_default="", nullable=False),
        sa.Column("proof_postcode", sa.Text(), server_default="", nullable=False),
        sa.Column("placed_us", sa.BigInteger(), nullable=True),
        sa.Column("shipped_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("merchant", "number", name=op.f("uq_orders_merchant_number")),
    )
    op.create_index("ix_orders_number", "orders", ["number"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("notice_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("spread_us", sa.BigInteger(), nullable=True),
        sa.Column("alerted_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("notice_id", name=op.f("uq_outbox_notice_id")),
        sa.UniqueConstraint("subject", "name", name=op.f("uq_outbox_subject_name")),
    )
    op.create_index(
        "ix_outbox_unalerted",
        "outbox",
        ["id"],
        unique=False,
        sqlite_where=sa.text("alerted_us IS NULL"),
        postgresql_where=sa.text("alerted_us IS NULL"),
    )
    op.create_index(
        "ix_outbox_unspread",
        "outbox",
        ["id"],
        unique=False,
        sqlite_where=sa.text("spread_us IS NULL"),
        postgresql_where=sa.text("spread_us IS NULL"),
    )
    op.create_table(
        "parcels",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("shipment", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("leg", sa.Text(), server_default="out", nullable=False),
        sa.Column("status", sa.Text(), server_default="unknown", nullable=False),
        sa.Column("conclusion", sa.Text(), server_default="{}", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("moved_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("checked_us", sa.BigInteger(), nullable=True),
        sa.Column("next_poll_us", sa.BigInteger(), nullable=True),
        sa.Column("review_us", sa.BigInteger(), nullable=True),
        sa.Column("lease_us", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parcels")),
        sa.UniqueConstraint("carrier", "number", name=op.f("uq_parcels_carrier_number")),
    )
    op.create_index("ix_parcels_merchant", "parcels", ["merchant", "id"], unique=False)
    op.create_index("ix_parcels_next_poll", "parcels", ["carrier", "next_poll_us"], unique=False)
    op.create_index("ix_parcels_review", "parcels", ["review_us"], unique=False)
    op.create_table(
        "payloads",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("asked", sa.Text(), server_default="[]", nullable=False),
        sa.Column("status", sa.BigInteger(), server_default=sa.text("(200)"), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("read_us", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payloads")),
        sa.UniqueConstraint("carrier", "source", "digest", name=op.f("uq_payloads_carrier_source_digest")),
    )
    op.create_index(
        "ix_payloads_unread",
        "payloads",
        ["id"],
        unique=False,
        sqlite_where=sa.text("read_us IS NULL"),
        postgresql_where=sa.text("read_us IS NULL"),
    )
    op.create_table(
        "purchases",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("prepared", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("body_digest", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), server_default="{}", nullable=False),
        sa.Column("attempt", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_us", sa.BigInteger(), nullable=True),
        sa.Column("sent_us", sa.BigInteger(), nullable=True),
        sa.Column("next_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchases")),
        sa.UniqueConstraint(
            "subject", "operation", "generation", name=op.f("uq_purchases_subject_operation_generation")
        ),
    )
    op.create_index("ix_purchases_state_next", "purchases", ["state", "next_us"], unique=False)
    op.create_table(
        "sequences",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_sequences")),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_settings")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("renew_us", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("carrier", "number", name=op.f("pk_subscriptions")),
    )
    op.create_index("ix_subscriptions_renew", "subscriptions", ["renew_us"], unique=False)
    op.create_table(
        "unknown_codes",
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("payload_digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("carrier", "code", "day", name=op.f("pk_unknown_codes")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("endpoint_id", ROW, nullable=False),
        sa.Column("outbox_id", ROW, nullable=False),
        sa.Column("state", sa.Text(), server_default="due", nullable=False),
        sa.Column("tries", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=True),
        sa.Column("done_us", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoints.id"], name=op.f("fk_deliveries_endpoint_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.id"], name=op.f("fk_deliveries_outbox_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("endpoint_id", "outbox_id", name=op.f("uq_deliveries_endpoint_id_outbox_id")),
    )
    op.create_index("ix_deliveries_due", "deliveries", ["endpoint_id", "state", "next_us"], unique=False)
    op.create_table(
        "labels",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("purchase_id", sa.Text(), nullable=False),
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("shipment_id", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("price", sa.Text(), server_default="", nullable=False),
        sa.Column("currency", sa.Text(), server_default="", nullable=False),
        sa.Column("bought_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchases.id"], name=op.f("fk_labels_purchase_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
        sa.UniqueConstraint("carrier", "number", name=op.f("uq_labels_carrier_number")),
    )
    op.create_table(
        "mentions",
        sa.Column("payload_id", ROW, nullable=False),
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["payload_id"], ["payloads.id"], name=op.f("fk_mentions_payload_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("payload_id", "carrier", "number", name=op.f("pk_mentions")),
    )
    op.create_index("ix_mentions_carrier_number", "mentions", ["carrier", "number"], unique=False)
    op.create_table(
        "order_parcels",
        sa.Column("order_id", ROW, nullable=False),
        sa.Column("parcel_id", ROW, nullable=False),
        sa.Column("items", sa.Text(), server_default="[]", nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_order_parcels_order_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["parcel_id"], ["parcels.id"], name=op.f("fk_order_parcels_parcel_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("order_id", "parcel_id", name=op.f("pk_order_parcels")),
    )
    op.create_index("ix_order_parcels_parcel_id", "order_parcels", ["parcel_id"], unique=False)
    op.create_table(
        "returns",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("return", sa.Text(), server_default="{}", nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("parcel_id", ROW, nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["parcel_id"], ["parcels.id"], name=op.f("fk_returns_parcel_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_returns")),
        sa.UniqueConstraint("number", name=op.f("uq_returns_number")),
    )
    op.create_index("ix_returns_parcel_id", "returns", ["parcel_id"], unique=False)
    op.create_table(
        "sightings",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("parcel_id", ROW, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("teller", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("payload_digest", sa.Text(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["parcel_id"], ["parcels.id"], name=op.f("fk_sightings_parcel_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sightings")),
        sa.UniqueConstraint("parcel_id", "event_id", "teller", name=op.f("uq_sightings_parcel_id_event_id_teller")),
    )
    op.create_table(
        "told",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("parcel_id", ROW, nullable=False),
        sa.Column("teller", sa.Text(), nullable=False),
        sa.Column("payload_digest", sa.Text(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["parcel_id"], ["parcels.id"], name=op.f("fk_told_parcel_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_told")),
        sa.UniqueConstraint("parcel_id", "teller", name=op.f("uq_told_parcel_id_teller")),
    )
    op.create_table(
        "documents",
        sa.Column("label_id", ROW, nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["label_id"], ["labels.id"], name=op.f("fk_documents_label_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("label_id", "format", name=op.f("pk_documents")),
    )
    op.create_table(
        "return_orders",
        sa.Column("return_id", ROW, nullable=False),
        sa.Column("order_id", ROW, nullable=False),
        sa.Column("items", sa.Text(), server_default="[]", nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_return_orders_order_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["return_id"], ["returns.id"], name=op.f("fk_return_orders_return_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("return_id", "order_id", name=op.f("pk_return_orders")),
    )
    op.create_index("ix_return_orders_order_id", "return_orders", ["order_id"], unique=False)
    op.create_table(
        "tries",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("delivery_id", ROW, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("took_ms", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("answer", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_tries_delivery_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tries")),
    )
    op.create_index("ix_tries_delivery_id", "tries", ["delivery_id"], unique=False)
