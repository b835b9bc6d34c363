"""`spk hsm keys`, `rotate`, `retire`, `unretire`, `destroy`: generations of keys come and go."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hsm_stub.backends.backend import KeyStore
from hsm_stub.client.client import connect
from hsm_stub.client.commands import KeyState
from hsm_stub.client.errors import HsmUnavailable
from hsm_stub.errors import RotationRefused
from hsm_stub.home import default_keys, default_url
from hsm_stub.keyring import KeyName, key_name
from hsm_stub.opening import open_keys
from hsm_stub.rotation import LIVED_ON, check_unused, read_use, set_state
from hsm_stub.rotation import rotate as next_generation

Keys = Annotated[Path | None, Parameter(help="Key file; default: hsm/keys.spk in SPK_HOME.")]
PassphraseFile = Annotated[
    Path | None,
    Parameter(help="File with the passphrase or PIN; else SPK_HSM_PASSPHRASE or asked for."),
]
Url = Annotated[str | None, Parameter(help="Where the running service listens, to be told.")]
TokenFile = Annotated[Path | None, Parameter(help="File with this client's token.")]
Generation = Annotated[int, Parameter(help="Which generation.")]


def register(app: App) -> None:
    """Add the commands to `spk hsm`."""
    for command in (keys, rotate, retire, unretire, destroy):
        app.command(command)


def keys(*, keys: Keys = None, passphrase_file: PassphraseFile = None) -> None:
    """List every generation of every key, as the key file has them."""
    store = _store(keys, passphrase_file)
    for entry in sorted(store.ring.entries, key=lambda e: (e.key, e.generation)):
        made = datetime.fromtimestamp(entry.created_at_ms / 1000, UTC)
        print(
            f"{entry.key:16} {entry.generation:3}  {entry.state.value:9}  made {made:%Y-%m-%d}  "
            f"{entry.key_id.hex()}".rstrip()
        )


def rotate(
    key: str,
    /,
    *,
    keys: Keys = None,
    passphrase_file: PassphraseFile = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Begin the next generation of KEY, such as "card master"; the one before is retiring.

    A running service is told at once: nothing stands still, and what the old generation made goes
    on being served.
    """
    name = _name(key)
    before, made = next_generation(_store(keys, passphrase_file), name, time.time_ns() // 1_000_000)
    print(f"{key}: generation {made.generation} is active, generation {before.generation} retiring")
    _tell(url, token_file)


def retire(
    key: str,
    generation: Generation,
    /,
    *,
    use: Annotated[
        Path | None,
        Parameter(help="What still uses the keys, as spk cards key-use --out wrote it today."),
    ] = None,
    keys: Keys = None,
    passphrase_file: PassphraseFile = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Take a retiring generation out of use, once nothing made with it lives on.

    With --use that is checked, for the keys on which cards and terminals live.
    """
    name = _name(key)
    if use is not None:
        store = _store(keys, passphrase_file)
        check_unused(store, name, generation, read_use(use), time.time_ns() // 1_000_000)
    elif name in LIVED_ON:
        print(
            "not checked whether cards or terminals still use it: spk cards key-use --out FILE at "
            "the centre, then --use FILE",
            file=sys.stderr,
        )
    _change(key, generation, KeyState.RETIRED, keys, passphrase_file)
    _tell(url, token_file)


def unretire(
    key: str,
    generation: Generation,
    /,
    *,
    keys: Keys = None,
    passphrase_file: PassphraseFile = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Take a retired generation back into use, because something made with it does live on."""
    _change(key, generation, KeyState.RETIRING, keys, passphrase_file)
    _tell(url, token_file)


def destroy(
    key: str,
    generation: Generation,
    /,
    *,
    yes: Annotated[bool, Parameter(help="Do it: the secret is gone for good.")] = False,
    keys: Keys = None,
    passphrase_file: PassphraseFile = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Destroy the secret of a retired generation. What was encrypted or made with it is lost."""
    if not yes:
        raise RotationRefused(
            f"generation {generation} of the {key} key would be gone for good; say --yes"
        )
    _change(key, generation, KeyState.DESTROYED, keys, passphrase_file)
    _tell(url, token_file)


def _store(keys: Path | None, passphrase_file: Path | None) -> KeyStore:
    return open_keys(keys or default_keys(os.environ), os.environ, passphrase_file).store


def _name(key: str) -> KeyName:
    try:
        return key_name(key)
    except ValueError as error:
        raise RotationRefused(str(error)) from None


def _change(
    key: str, generation: int, state: KeyState, keys: Path | None, passphrase_file: Path | None
) -> None:
    entry = set_state(_store(keys, passphrase_file), _name(key), generation, state)
    print(f"{key}: generation {entry.generation} is {entry.state.value}")


def _tell(url: str | None, token_file: Path | None) -> None:
    """Tell the running service, if one runs."""
    with connect(url or default_url(os.environ), token_file=token_file) as client:
        try:
            client.reload_keys()
        except HsmUnavailable:
            print("no key service runs here; it will know when it starts")
            return
    print("the running key service knows")
