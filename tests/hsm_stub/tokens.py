"""A SoftHSM2 token for tests: its own folder, its own configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hsm_stub.backends.pkcs11 import Pkcs11Backend, new_token_keys
from tests.hsm_stub.running import NOW_MS

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
LABEL, PIN = "spk test", "1234567890"


class SoftToken:
    """A token in a folder; `lose` takes it away, `find` brings it back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = folder / "tokens"
        self.file = folder / "keys.p11"
        self.objects.mkdir()
        configuration = folder / "softhsm2.conf"
        configuration.write_text(
            f"directories.tokendir = {self.objects}\nobjectstore.backend = file\n"
        )
        os.environ["SOFTHSM2_CONF"] = str(configuration)
        subprocess.run(
            [
                *f"softhsm2-util --init-token --free --pin {PIN} --so-pin {PIN}".split(),
                "--label",
                LABEL,
            ],
            check=True,
            capture_output=True,
        )

    def keys(self) -> Pkcs11Backend:
        """Make all keys in the token."""
        return new_token_keys(self.file, MODULE, LABEL, PIN, "77", NOW_MS)

    def lose(self) -> None:
        """Take the token away."""
        self.objects.rename(self.folder / "lost")
        self.objects.mkdir()

    def find(self) -> None:
        """Bring it back."""
        self.objects.rmdir()
        (self.folder / "lost").rename(self.objects)


def require_softhsm() -> None:
    """Skip, saying so, where SoftHSM2 or the library that speaks with it is not installed."""
    if shutil.which("softhsm2-util") is None or not Path(MODULE).exists():
        if os.environ.get("SPK_REQUIRE_SOFTHSM") == "1":
            pytest.fail("SoftHSM2 is not installed (Debian package softhsm2)")
        pytest.skip("SoftHSM2 is not installed (Debian package softhsm2)")
    pytest.importorskip("pkcs11")
