"""Rotation: a key's next generation, and the way of the one before from retiring to destroyed.

active → retiring → retired → destroyed; retired → retiring is the way back while the secret is
there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from hsm_stub.backends.backend import KeyStore
from hsm_stub.client.commands import KeyState
from hsm_stub.errors import RotationRefused
from hsm_stub.keyring import KeyEntry, KeyName, MasterKey, SigningKey
from processing.wire.key_use import AGE_MAX_MS, KeyUseReport

LIVED_ON: Final = (MasterKey.TERMINAL, MasterKey.CARD, SigningKey.ISSUING_CA)
"""Keys of which cards and terminals need the generation that they were made with."""

_WAYS: Final = {
    KeyState.RETIRED: (KeyState.RETIRING,),
    KeyState.RETIRING: (KeyState.RETIRED,),
    KeyState.DESTROYED: (KeyState.RETIRED,),
    KeyState.ACTIVE: (),
}
"""From which state a generation may come to which."""


def rotate(store: KeyStore, key: KeyName, now_ms: int) -> tuple[KeyEntry, KeyEntry]:
    """Begin the next generation of `key`; the one before, now retiring, and the new one.

    Raises `RotationRefused` after the last generation, and the errors of the store.
    """
    before = store.ring.active(key)
    made = store.add(key, now_ms)
    return msgspec.structs.replace(before, state=KeyState.RETIRING), made


def read_use(path: Path) -> KeyUseReport:
    """Return the centre's report of the keys in use; raises `RotationRefused`."""
    try:
        return KeyUseReport.decode(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RotationRefused(f"{path}: {error}") from None


def check_unused(
    store: KeyStore, key: KeyName, generation: int, report: KeyUseReport, now_ms: int
) -> None:
    """Raise `RotationRefused` if cards or terminals live on a generation, or nobody can tell."""
    if not 0 <= now_ms - report.as_of_ms <= AGE_MAX_MS:
        raise RotationRefused(
            "the report of the keys in use is older than 24 hours: make one by spk cards key-use"
        )
    use = report.of(key.value, _name_of(_generation(store, key, generation)))
    if use is not None:
        until = "" if use.last_day is None else f", the last until {use.last_day}"
        raise RotationRefused(
            f"generation {generation} of the {key.value} key is still used by {use.users}"
            f"{' terminals' if key is MasterKey.TERMINAL else f' live cards{until}'}: wait, or "
            "renew them first"
        )


def _name_of(entry: KeyEntry) -> str:
    """Return what the centre calls a generation (`processing.wire.key_use`)."""
    if entry.key != SigningKey.ISSUING_CA.value:
        return f"{entry.generation}"
    extensions = entry.issuer().extensions
    return extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()


def _generation(store: KeyStore, key: KeyName, generation: int) -> KeyEntry:
    for entry in store.ring.of(key):
        if entry.generation == generation:
            return entry
    raise RotationRefused(f"there is no generation {generation} of the {key.value} key")


def set_state(store: KeyStore, key: KeyName, generation: int, state: KeyState) -> KeyEntry:
    """Bring a generation to a state; raises `RotationRefused` when it cannot come there."""
    entry = _generation(store, key, generation)
    if entry.state not in _WAYS[state]:
        expected = " or ".join(one.value for one in _WAYS[state]) or "none"
        raise RotationRefused(
            f"generation {generation} of the {key.value} key is {entry.state.value}; only one that "
            f"is {expected} can become {state.value}"
        )
    changed = msgspec.structs.replace(entry, state=state)
    store.put(changed)
    return changed
