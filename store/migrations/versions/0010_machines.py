"""What many machines need: who runs, who does what only one may do, and leases where work is taken."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_UNFOLLOWED = sa.text("followed_us IS NULL AND type = 'parcel.status_changed'")


def upgrade() -> None:
    op.add_column("payloads", sa.Column("lease_us", sa.BigInteger(), nullable=True))
    op.add_column("outbox", sa.Column("followed_us", sa.BigInteger(), nullable=True))
    op.create_index("ix_outbox_unfollowed", "outbox", ["id"], sqlite_where=_UNFOLLOWED, postgresql_where=_UNFOLLOWED)
    op.create_table(
        "machines",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machines")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
