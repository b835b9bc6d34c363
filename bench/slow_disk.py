"""A disk that needs longer to make data durable: fsync and fdatasync of PostgreSQL, held up.

A small library, compiled here and loaded before libc (LD_PRELOAD), waits after each real call for
as many microseconds as a mapped file says; so one server runs fast and slow by turns. It needs a C
compiler. Nothing else is changed: the data is made durable as before, only later.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench.rig import Rig, RigError
from processing.kernel.embedded_programs import own_account

VARIABLE: Final = "SPK_BENCH_SYNC_DELAY_FILE"
START_TIMEOUT_SECONDS: Final = 120
SOURCE: Final = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile uint32_t *delay_us;

__attribute__((constructor)) static void map_delay(void) {
    const char *path = getenv("@VARIABLE@");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) delay_us = mapped;
}

static int held_up(const char *name, int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(file);
    uint32_t us = delay_us ? *delay_us : 0;
    struct timespec left = {us / 1000000, (us % 1000000) * 1000L};
    while (us && nanosleep(&left, &left) != 0) {}
    return result;
}

int fsync(int file) { return held_up("fsync", file); }
int fdatasync(int file) { return held_up("fdatasync", file); }
"""


class SlowDisk:
    """The rig's PostgreSQL, restarted so that its disk can be slowed down. Use `set_delay`."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._delay = rig.home / "sync-delay"

    def start(self) -> None:
        """Restart PostgreSQL with the library, and the centre on it; raises `RigError`."""
        library = self._compiled()
        rig, data = self._rig, self._rig.data_folder
        rig.stop("centre")
        rig.stop("naive")
        rig.embedded.stop()
        self._delay.write_bytes(bytes(4096))
        self._delay.chmod(0o644)
        account = own_account()
        # The data folder's server lock is not held now, so nobody may start it the usual way:
        # the centre is told the address instead.
        started = subprocess.run(
            [
                str(rig.embedded.program("pg_ctl")),
                "start",
                "--wait",
                "--silent",
                f"--timeout={START_TIMEOUT_SECONDS}",
                f"--pgdata={data}",
            ],
            cwd="/",
            env={"LD_PRELOAD": str(library), VARIABLE: str(self._delay), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=START_TIMEOUT_SECONDS + 10,
            user=account.user_id if account.switch else None,
            group=account.group_id if account.switch else None,
            extra_groups=[] if account.switch else None,
            umask=0o077,
        )
        if started.returncode != 0:
            raise RigError("PostgreSQL did not start with the slow disk's library")
        self._check_loaded(library)
        rig.environment["SPK_DSN"] = rig.embedded.superuser_dsn()
        rig.start_centre()

    def set_delay(self, delay_us: int) -> None:
        """Make every following fsync take `delay_us` longer; 0 for none."""
        with self._delay.open("r+b") as file:
            file.write(delay_us.to_bytes(4, "little"))

    def stop(self) -> None:
        """Stop the centre and this PostgreSQL."""
        self._rig.stop("centre")
        account = own_account()
        subprocess.run(
            [
                str(self._rig.embedded.program("pg_ctl")),
                "stop",
                "--wait",
                "--mode=fast",
                f"--pgdata={self._rig.data_folder}",
            ],
            cwd="/",
            capture_output=True,
            check=False,
            timeout=START_TIMEOUT_SECONDS,
            user=account.user_id if account.switch else None,
            group=account.group_id if account.switch else None,
            extra_groups=[] if account.switch else None,
        )
        self._rig.environment.pop("SPK_DSN", None)

    def _compiled(self) -> Path:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise RigError("a slow disk needs a C compiler (Debian: gcc), and there is none")
        source, library = self._rig.home / "slow_disk.c", self._rig.home / "slow_disk.so"
        source.write_text(SOURCE.replace("@VARIABLE@", VARIABLE), "ascii")
        done = subprocess.run(
            [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            raise RigError(f"the slow disk's library does not compile:\n{done.stderr}")
        library.chmod(0o755)
        return library

    def _check_loaded(self, library: Path) -> None:
        maps = Path(f"/proc/{self._rig.process_id('postgres')}/maps").read_text("utf-8")
        if os.fspath(library) not in maps:
            raise RigError("PostgreSQL runs without the slow disk's library")
