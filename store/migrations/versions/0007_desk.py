"""What the desk needs: when a return is looked at again, what leaves the warehouse for it, and what came home."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("returns", sa.Column("review_us", sa.BigInteger(), nullable=True))
    op.create_index("ix_returns_review_us", "returns", ["review_us"])
    op.create_table(
        "dispatches",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("return_id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("loads", sa.Text(), nullable=False),
        sa.Column("payer", sa.Text(), nullable=False),
        sa.Column("parcel_id", _ID, nullable=True),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["parcel_id"], ["parcels.id"], name=op.f("fk_dispatches_parcel_id")),
        sa.ForeignKeyConstraint(
            ["return_id"], ["returns.id"], name=op.f("fk_dispatches_return_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatches")),
        sa.UniqueConstraint("return_id", "name", name=op.f("uq_dispatches_return_id_name")),
    )
    op.create_index("ix_dispatches_next_us", "dispatches", ["next_us"])
    op.create_table(
        "homecomings",
        sa.Column("parcel_id", _ID, nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("teller", sa.Text(), nullable=False),
        sa.Column("settlement", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["parcel_id"], ["parcels.id"], name=op.f("fk_homecomings_parcel_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("parcel_id", name=op.f("pk_homecomings")),
    )
