"""What lasting deliveries need: two live secrets, since when an endpoint fails, why a try failed; and late pushes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("endpoints", sa.Column("old_secret", sa.LargeBinary(), nullable=True))
    op.add_column("endpoints", sa.Column("old_until_us", sa.BigInteger(), nullable=True))
    op.add_column("endpoints", sa.Column("failing_us", sa.BigInteger(), nullable=True))
    op.add_column("endpoints", sa.Column("probe_us", sa.BigInteger(), nullable=True))
    op.add_column("tries", sa.Column("detail", sa.Text(), server_default="", nullable=False))
    op.add_column("payloads", sa.Column("late", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
