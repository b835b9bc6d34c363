"""Runs one pcscd and ends it when the program that wanted it is gone. Started as a script.

pcscd knows one socket, /run/pcscd/pcscd.comm. But it takes a socket from systemd (file descriptor
3 with LISTEN_FDS and LISTEN_PID, as sd_listen_fds(3) describes), and libpcsclite lets a client name
another with PCSCLITE_CSOCK_NAME. So a private pcscd needs no systemd, only the same handshake. It
runs as nobody: it can then neither disturb a system pcscd's files nor seize USB readers.

Standard input is the leash: when the starter closes it or dies, pcscd is terminated and the folder
above its configuration removed.

    supervisor.py private|system UID SOCKET PCSCD CONFIG_FOLDER
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading

_LISTEN_FD = 3
_BACKLOG = 64


def _listen(path: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    os.chmod(path, 0o600)  # noqa: PTH101  # this script starts bare and quick, without pathlib
    server.listen(_BACKLOG)
    return server


def _become_pcscd(scope: str, uid: int, server: socket.socket | None, command: list[str]) -> None:
    """In the child: hand over the socket, drop privileges, and become pcscd."""
    if server is not None:
        os.dup2(server.fileno(), _LISTEN_FD)
        # Copying a descriptor onto itself would leave it closed on exec.
        os.set_inheritable(_LISTEN_FD, True)
        os.environ["LISTEN_FDS"] = "1"
        os.environ["LISTEN_PID"] = str(os.getpid())
    if scope == "private" and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    os.execv(command[0], command)  # noqa: S606  # pcscd wants no shell


def main(scope: str, uid: str, socket_path: str, pcscd: str, config_folder: str) -> int:
    """Run pcscd until standard input ends; its exit status, or 128 and the signal's number."""
    server = _listen(socket_path) if scope == "private" else None
    command = [pcscd, "--foreground", "--info", "--config", config_folder]
    child = os.fork()
    if child == 0:
        _become_pcscd(scope, int(uid), server, command)
    if server is not None:
        server.close()

    let_go = threading.Event()

    def end_with_the_leash() -> None:
        while os.read(0, 1):
            pass
        let_go.set()
        os.kill(child, signal.SIGTERM)

    threading.Thread(target=end_with_the_leash, daemon=True).start()
    _, status = os.waitpid(child, 0)
    if let_go.is_set():
        # Had pcscd failed by itself, the starter would still want to read its log.
        shutil.rmtree(os.path.dirname(config_folder), ignore_errors=True)  # noqa: PTH120  # as above
    return os.waitstatus_to_exitcode(status) % 256


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
