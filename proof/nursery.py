"""Processes forked from one that has imported everything already: a life costs milliseconds, not seconds."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

Job = Callable[[dict[str, Any]], None]

assert os.name == "posix", "processes are forked"


class Nursery:
    """Forks children on demand. Made before any thread is: a child has only the memory that it was born with."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _keep(theirs, jobs)
        theirs.close()
        self._socket = ours
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def _say(self, told: dict[str, Any]) -> dict[str, Any]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)
        self._writer.write(json.dumps(told).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await self._reader.readline())
        return answer

    async def start(self, job: str, **args: Any) -> int:
        """The process id of a child that does the job."""
        return int((await self._say({"job": job, "args": args}))["pid"])

    async def wait(self, pid: int, seconds: float) -> int | None:
        """How the child ended: its exit code, or minus the signal. After so many seconds it is killed: None."""
        ended = asyncio.ensure_future(self._say({"wait": pid}))
        done, _ = await asyncio.wait([ended], timeout=seconds)
        if not done:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            await ended
            return None
        return int(ended.result()["code"])

    async def close(self) -> None:
        """Every child that still lives is killed."""
        if self._writer is None:
            self._socket.close()
        else:
            self._writer.close()
        await asyncio.to_thread(os.waitpid, self.pid, 0)


def _keep(told: socket.socket, jobs: Mapping[str, Job]) -> None:
    """The nursery itself: one order a line, until nobody is there to give any."""
    alive: set[int] = set()
    with told.makefile("rwb") as file:
        for line in file:
            order = json.loads(line)
            if "wait" in order:
                _, status = os.waitpid(order["wait"], 0)
                alive.discard(order["wait"])
                answer = {"code": os.waitstatus_to_exitcode(status)}
            else:
                pid = os.fork()
                if pid == 0:
                    told.close()
                    _live(jobs[order["job"]], order["args"])
                alive.add(pid)
                answer = {"pid": pid}
            file.write(json.dumps(answer).encode() + b"\n")
            file.flush()
    for pid in alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    os._exit(0)


def _live(job: Job, args: dict[str, Any]) -> None:
    """A child's whole life. Nothing of the parent's is closed or flushed at its end."""
    code = 0
    try:
        job(args)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)
