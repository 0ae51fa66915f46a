"""What channels needs: who is told of an alert, what is muted, and which alerts an endpoint hears."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("endpoints", sa.Column("alerts", sa.Text(), server_default="{}", nullable=False))
    op.create_table(
        "tellings",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("outbox_id", ROW, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=True),
        sa.Column("done_us", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.id"], name=op.f("fk_tellings_outbox_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tellings")),
        sa.UniqueConstraint("channel", "outbox_id", name=op.f("uq_tellings_channel_outbox_id")),
    )
    op.create_index("ix_tellings_due", "tellings", ["channel", "state", "next_us"])
    op.create_index("ix_tellings_subject", "tellings", ["subject", "channel"])
    op.create_index("ix_tellings_outbox_id", "tellings", ["outbox_id"])
    op.create_table(
        "mutes",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("lifted_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mutes")),
    )
