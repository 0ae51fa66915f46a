"""What parcels with numbers that nobody registered need: the desk where they wait, and what they turned out to be."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("parcels", sa.Column("stale_us", sa.BigInteger(), nullable=True))
    op.create_table(
        "unidentified",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("carrier", sa.Text(), server_default="", nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="new", nullable=False),
        sa.Column("merchant", sa.Text(), server_default="", nullable=False),
        sa.Column("order_number", sa.Text(), server_default="", nullable=False),
        sa.Column("name_mark", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=True),
        sa.Column("told_by", sa.Text(), server_default="", nullable=False),
        sa.Column("clue", sa.Text(), server_default="{}", nullable=False),
        sa.Column("candidates", sa.Text(), server_default="[]", nullable=False),
        sa.Column("outcome", sa.Text(), server_default="{}", nullable=False),
        sa.Column("decided_by", sa.Text(), server_default="", nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.Column("asked_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unidentified")),
        sa.UniqueConstraint("carrier", "number", name=op.f("uq_unidentified_carrier_number")),
    )
    op.create_index(op.f("ix_unidentified_due"), "unidentified", ["due_us"])
    op.create_index(op.f("ix_unidentified_state"), "unidentified", ["state", "id"])
    op.create_table(
        "parcel_links",
        sa.Column("further_id", ROW, autoincrement=False, nullable=False),
        sa.Column("parcel_id", ROW, nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("score", sa.Text(), server_default="", nullable=False),
        sa.Column("because", sa.Text(), server_default="[]", nullable=False),
        sa.PrimaryKeyConstraint("further_id", name=op.f("pk_parcel_links")),
        sa.ForeignKeyConstraint(
            ["further_id"], ["parcels.id"], name=op.f("fk_parcel_links_further_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["parcel_id"], ["parcels.id"], name=op.f("fk_parcel_links_parcel_id"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_parcel_links_parcel_id"), "parcel_links", ["parcel_id"])
