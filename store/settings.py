"""Small facts about this installation, by name: the make of its data, the story clock, a kill switch."""

from sqlalchemy import bindparam, delete, select

from store.engine import Tx
from store.schema import settings
from store.statement import statement

GET_SETTING = statement(select(settings.c.value).where(settings.c.name == bindparam("name")))
_SET = statement(
    lambda insert: (
        insert(settings)
        .values(name=bindparam("name"), value=bindparam("value"))
        .on_conflict_do_update(index_elements=["name"], set_={"value": bindparam("value")})
    )
)
_FORGET = statement(delete(settings).where(settings.c.name == bindparam("name")))
_SET_ONCE = statement(
    lambda insert: (
        insert(settings).values(name=bindparam("name"), value=bindparam("value")).on_conflict_do_nothing()
    )
)  # fmt: skip


async def get_setting(tx: Tx, name: str) -> str | None:
    """The value of a fact, or None."""
    row = await tx.one(GET_SETTING, name=name)
    return str(row["value"]) if row else None


async def put_setting(tx: Tx, name: str, value: str) -> None:
    """Write a fact, over whatever it was."""
    await tx.run(_SET, name=name, value=value)


async def set_once(tx: Tx, name: str, value: str) -> str:
    """Write a fact unless it is known; returns what holds from now on, whoever wrote it first."""
    await tx.run(_SET_ONCE, name=name, value=value)
    return await get_setting(tx, name) or value


async def forget_setting(tx: Tx, name: str) -> None:
    """Drop a fact."""
    await tx.run(_FORGET, name=name)
