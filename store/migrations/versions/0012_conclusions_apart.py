"""A parcel's conclusion in a table of its own. Nothing older goes on beside it (docs/decisions/0076)."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "conclusions",
        sa.Column("parcel_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("conclusion", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["parcel_id"], ["parcels.id"], name=op.f("fk_conclusions_parcel_id_parcels"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("parcel_id", name=op.f("pk_conclusions")),
    )
    op.execute("INSERT INTO conclusions SELECT id, conclusion FROM parcels WHERE conclusion <> '{}'")
    op.execute("ALTER TABLE parcels DROP COLUMN conclusion")
