"""Rotation: a key's next generation, and the way of the one before from retiring to destroyed.

active → retiring → retired → destroyed; retired → retiring is the way back while the secret is
there.
"""

from __future__ import annotations

from typing import Final

import msgspec

from hsm_stub.backends.backend import KeyStore
from hsm_stub.client.commands import KeyState
from hsm_stub.errors import RotationRefused
from hsm_stub.keyring import KeyEntry, KeyName

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


def set_state(store: KeyStore, key: KeyName, generation: int, state: KeyState) -> KeyEntry:
    """Bring a generation to a state; raises `RotationRefused` when it cannot come there."""
    for entry in store.ring.of(key):
        if entry.generation == generation:
            break
    else:
        raise RotationRefused(f"there is no generation {generation} of the {key.value} key")
    if entry.state not in _WAYS[state]:
        expected = " or ".join(one.value for one in _WAYS[state]) or "none"
        raise RotationRefused(
            f"generation {generation} of the {key.value} key is {entry.state.value}; only one that "
            f"is {expected} can become {state.value}"
        )
    changed = msgspec.structs.replace(entry, state=state)
    store.put(changed)
    return changed
