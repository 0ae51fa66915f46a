"""What money needs: whose call spends how much and when, why a label is not live, and a line for every amount."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("purchases", sa.Column("caller", sa.Text(), server_default="", nullable=False))
    op.add_column("purchases", sa.Column("spend", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("purchases", sa.Column("admitted_us", sa.BigInteger(), nullable=True))
    op.add_column("purchases", sa.Column("audit_us", sa.BigInteger(), nullable=True))
    op.create_index("ix_purchases_admitted", "purchases", ["admitted_us"], unique=False)
    op.create_index("ix_purchases_audit", "purchases", ["audit_us"], unique=False)
    op.create_index("ix_purchases_reference", "purchases", ["reference"], unique=False)
    op.add_column("labels", sa.Column("note", sa.Text(), server_default="", nullable=False))
    op.add_column("labels", sa.Column("since_us", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("labels", sa.Column("ended_us", sa.BigInteger(), nullable=True))
    op.create_index("ix_labels_state", "labels", ["state", "since_us"], unique=False)
    op.create_index("ix_labels_purchase_id", "labels", ["purchase_id"], unique=False)
    op.create_table(
        "money",
        sa.Column("id", ROW, autoincrement=True, nullable=False),
        sa.Column("label_id", ROW, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.Text(), server_default="", nullable=False),
        sa.Column("currency", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["label_id"], ["labels.id"], name=op.f("fk_money_label_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_money")),
        sa.UniqueConstraint("label_id", "name", name=op.f("uq_money_label_id_name")),
    )
