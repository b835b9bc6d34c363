"""Where the key file and the socket lie unless the user says otherwise.

The same folder as the centre's (SPK_HOME), found without importing the centre.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def home(environment: Mapping[str, str]) -> Path:
    """Return SPK_HOME, else /var/lib/spk for root, else `spk` in the user's data folder (XDG)."""
    if given := environment.get("SPK_HOME", "").strip():
        return Path(given).expanduser().absolute()
    if os.name == "posix" and os.geteuid() == 0:
        return Path("/var/lib/spk")
    data_home = Path(environment.get("XDG_DATA_HOME", ""))
    return (data_home if data_home.is_absolute() else Path.home() / ".local" / "share") / "spk"


def default_keys(environment: Mapping[str, str]) -> Path:
    """Return the key file's usual place, in a folder of its own that only its owner enters.

    Where there is the file of a token in that folder instead, it is that.
    """
    folder = home(environment) / "hsm"
    token = folder / "keys.p11"
    return token if token.exists() else folder / "keys.spk"


def audit_folder(keys: Path) -> Path:
    """Return the folder of the audit of the keys in a file: beside it."""
    return keys.parent / "audit"


def policy_file(keys: Path) -> Path:
    """Return the file of the policy of the keys in a file: beside it."""
    return keys.parent / "policy.toml"


def default_url(environment: Mapping[str, str]) -> str:
    """Return the service's address: SPK_HSM, else a socket in the home folder."""
    return environment.get("SPK_HSM", "").strip() or f"unix:{home(environment) / 'hsm.sock'}"
