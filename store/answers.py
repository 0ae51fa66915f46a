"""What carriers said lately, kept for a while by the mark of the question: a quota is not spent twice on one answer."""

from sqlalchemy import bindparam, delete, select

from store.engine import Tx
from store.schema import carrier_answers
from store.statement import statement

_GET = statement(
    select(carrier_answers.c.sealed).where(
        carrier_answers.c.mark == bindparam("mark"), carrier_answers.c.until_us > bindparam("real_now")
    )
)
_PUT = statement(
    lambda insert: (
        insert(carrier_answers)
        .values(mark=bindparam("mark"), sealed=bindparam("sealed"), until_us=bindparam("until"))
        .on_conflict_do_update(
            index_elements=["mark"], set_={"sealed": bindparam("sealed"), "until_us": bindparam("until")}
        )
    )
)
_PURGE = statement(delete(carrier_answers).where(carrier_answers.c.until_us <= bindparam("real_now")))


async def find_answer(tx: Tx, mark: str, real_now_us: int) -> bytes | None:
    """The sealed answer, while it is fresh."""
    row = await tx.one(_GET, mark=mark, real_now=real_now_us)
    return bytes(row["sealed"]) if row else None


async def keep_answer(tx: Tx, mark: str, sealed: bytes, until_us: int) -> None:
    await tx.run(_PUT, mark=mark, sealed=sealed, until=until_us)


async def purge_answers(tx: Tx, real_now_us: int) -> int:
    """Drop what is stale; how many."""
    return await tx.run(_PURGE, real_now=real_now_us)
