"""No scans that grow with the history at desk and figures; endpoints that want rest, API keys that end."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_PARTIAL = (
    ("ix_parcels_followed", "parcels", ["id"], "next_poll_us IS NOT NULL"),
    ("ix_parcels_open", "parcels", ["id"], "ended_us IS NULL"),
    ("ix_parcels_home", "parcels", ["id"], "leg = 'back' OR status = 'undeliverable'"),
    ("ix_payloads_late", "payloads", ["carrier"], "late > 0"),
    ("ix_deliveries_open", "deliveries", ["endpoint_id", "state", "next_us"], "state <> 'done'"),
)


def upgrade() -> None:
    op.add_column("endpoints", sa.Column("hold_us", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("expires_us", sa.BigInteger(), nullable=True))
    op.create_index("ix_outbox_type", "outbox", ["type", "at_us"])
    op.create_index("ix_returns_state", "returns", ["state", "updated_us"])
    op.create_index("ix_payloads_newest", "payloads", ["carrier", "source", "received_us"])
    op.create_index("ix_purchases_counted", "purchases", ["carrier", "operation", "state"])
    op.create_index("ix_deliveries_endpoint", "deliveries", ["endpoint_id", "id"])
    for name, table, columns, where in _PARTIAL:
        clause = sa.text(where)
        op.create_index(name, table, columns, sqlite_where=clause, postgresql_where=clause)
