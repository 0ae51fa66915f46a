"""What a parcel's way back to the warehouse needs: its case, and money of a case."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "cases",
        sa.Column("parcel_id", ROW, autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("step", sa.Text(), server_default="", nullable=False),
        sa.Column("acted_us", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("purchase_id", sa.Text(), server_default="", nullable=False),
        sa.Column("withdrawn_us", sa.BigInteger(), nullable=True),
        sa.Column("next_us", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("parcel_id", name=op.f("pk_cases")),
        sa.ForeignKeyConstraint(["parcel_id"], ["parcels.id"], name=op.f("fk_cases_parcel_id"), ondelete="CASCADE"),
    )
    op.create_index("ix_cases_next", "cases", ["next_us"])
    with op.batch_alter_table("money") as money:
        money.alter_column("label_id", existing_type=ROW, nullable=True)
        money.add_column(sa.Column("case_id", ROW, nullable=True))
        money.create_foreign_key(op.f("fk_money_case_id"), "cases", ["case_id"], ["parcel_id"], ondelete="CASCADE")
        money.create_unique_constraint(op.f("uq_money_case_id_name"), ["case_id", "name"])
