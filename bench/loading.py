"""The load generator as its caller sees it: a child process that is given tasks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from bench.generator import Built, Done, Result, Task
from bench.rig import CHECKOUT


class GeneratorError(Exception):
    """The load generator ended; it says why on standard error."""


class Generator:
    """One generator process. `prepare` makes a task's messages, `run` sends them."""

    def __init__(self, world_file: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.generator", str(world_file)],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def process_id(self) -> int:
        """Return the generator's process number."""
        return self._process.pid

    def ask(self, task: Task) -> None:
        """Tell the generator to make a task's messages ready; does not wait."""
        self._say(msgspec.json.encode(task).decode("utf-8"))

    def wait_built(self) -> int:
        """Return the number of messages once they are ready."""
        return msgspec.json.decode(self._hear(), type=Built).built

    def go(self) -> None:
        """Tell it to send; does not wait."""
        self._say("go")

    def wait_done(self) -> int:
        """Return the number of messages sent, as soon as the run is over."""
        return msgspec.json.decode(self._hear(), type=Done).sent

    def result(self) -> Result:
        """Return what it saw, once its samples are verified."""
        return msgspec.json.decode(self._hear(), type=Result)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise GeneratorError("the load generator ended; it says why on standard error")
        return line
