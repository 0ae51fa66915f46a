"""What papers need: mails that go out, collections that are booked, and what carriers said of addresses for a day."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default=default, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def _us(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _id() -> sa.Column[int]:
    return sa.Column("id", ROW, autoincrement=True, nullable=False)


def upgrade() -> None:
    op.create_table(
        "carrier_answers",
        _text("mark"),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        _us("until_us"),
        sa.PrimaryKeyConstraint("mark", name=op.f("pk_carrier_answers")),
    )
    op.create_index("ix_carrier_answers_until", "carrier_answers", ["until_us"], unique=False)
    op.create_table(
        "mails",
        _id(),
        *(_text(name) for name in ("subject", "name", "state", "message_id", "to_mark", "number", "language")),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        _number("tries"),
        _us("next_us", nullable=True),
        _text("detail", ""),
        _us("created_us"),
        _us("sent_us", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
        sa.UniqueConstraint("subject", "name", name=op.f("uq_mails_subject_name")),
    )
    op.create_index("ix_mails_due", "mails", ["next_us"], unique=False)
    op.create_table(
        "pickups",
        _id(),
        sa.Column("return_id", ROW, nullable=False),
        *(_text(name) for name in ("day", "state", "carrier", "window")),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        *(_text(name, "") for name in ("confirmation", "price", "currency", "words")),
        _number("tries"),
        _us("next_us", nullable=True),
        _us("checked_us", nullable=True),
        _us("created_us"),
        _us("updated_us"),
        _number("version"),
        sa.ForeignKeyConstraint(["return_id"], ["returns.id"], name=op.f("fk_pickups_return_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pickups")),
        sa.UniqueConstraint("return_id", "day", name=op.f("uq_pickups_return_id_day")),
    )
    op.create_index("ix_pickups_due", "pickups", ["next_us"], unique=False)
