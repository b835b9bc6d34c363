"""What a run wrote to PostgreSQL's write-ahead log, and for what (pg_waldump --stats)."""

from __future__ import annotations

import re
import subprocess
from typing import Final

import msgspec

from bench.rig import Rig, RigError

_ROW: Final = re.compile(
    r"^(\S+)\s+(\d+)\s+\(.*?\)\s+(\d+)\s+\(.*?\)\s+(\d+)\s+\(.*?\)\s+(\d+)\s+\("
)
_POSITION: Final = "SELECT pg_current_wal_insert_lsn()::text"


class WalUse(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes by resource manager: records, and images of whole pages among them.

    `unaccounted_bytes` are headers of log pages and padding between records.
    """

    total_bytes: int
    record_bytes: dict[str, int]
    page_image_bytes: dict[str, int]
    unaccounted_bytes: int

    @property
    def steady_bytes(self) -> int:
        """Return the bytes without images of whole pages, which come once per checkpoint."""
        return self.total_bytes - sum(self.page_image_bytes.values())


def position(rig: Rig) -> str:
    """Return where the log ends now."""
    return str(rig.ask(lambda connection: connection.fetchval(_POSITION)))


def used_since(rig: Rig, start: str) -> WalUse:
    """Return what was written since `start`; raises `RigError` when the log cannot be read."""
    end = position(rig)
    # A switch writes the last page out, which pg_waldump reads from the file.
    rig.ask(lambda connection: connection.execute("SELECT pg_switch_wal()"))
    done = subprocess.run(
        [
            str(rig.embedded.program("pg_waldump")),
            f"--path={rig.data_folder / 'pg_wal'}",
            f"--start={start}",
            f"--end={end}",
            "--stats",
        ],
        cwd=rig.home,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        raise RigError(f"pg_waldump failed:\n{done.stdout}{done.stderr}")
    return accounted(done.stdout, bytes_between(start, end))


def accounted(stats: str, total_bytes: int) -> WalUse:
    """Return what pg_waldump's table says of `total_bytes` of log."""
    records, images = {}, {}
    for line in stats.splitlines():
        row = _ROW.match(line)
        if row is not None and row[1] != "Total" and int(row[2]):
            records[row[1]] = int(row[3])
            if int(row[4]):
                images[row[1]] = int(row[4])
    told = sum(records.values()) + sum(images.values())
    return WalUse(
        total_bytes=total_bytes,
        record_bytes=records,
        page_image_bytes=images,
        unaccounted_bytes=total_bytes - told,
    )


def bytes_between(start: str, end: str) -> int:
    """Return the distance of two positions such as 0/1A2B3C4D."""
    return _absolute(end) - _absolute(start)


def _absolute(place: str) -> int:
    high, _, low = place.partition("/")
    return (int(high, 16) << 32) + int(low, 16)
