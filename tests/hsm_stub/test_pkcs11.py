"""The PKCS#11 backend over SoftHSM2: the same answers, nothing readable, lost and found again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsm_stub.backends.pkcs11 import REOPEN_PAUSE_MS, Pkcs11Backend
from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.backends.token_file import TokenFile
from hsm_stub.client import commands as c
from hsm_stub.client.commands import KeyState
from hsm_stub.errors import CommandRefused, KeyFileDamaged, KeyFileExists, TokenError
from hsm_stub.key_material import KeyMaterial, new_key_material
from hsm_stub.keyring import MasterKey, SigningKey
from hsm_stub.rotation import rotate, set_state
from hsm_stub.security_module import SecurityModule
from tests.hsm_stub.examples import GUID
from tests.hsm_stub.running import NOW_MS, HandClock
from tests.hsm_stub.test_rotation import assert_vouched_for
from tests.hsm_stub.tokens import LABEL, MODULE, PIN, SoftToken, require_softhsm

EXPORT = c.DeriveCardAdminKey(card_guid=GUID, version=1)


@pytest.fixture
def token(tmp_path: Path) -> SoftToken:
    require_softhsm()
    return SoftToken(tmp_path)


@pytest.fixture
def keys(token: SoftToken) -> Iterator[Pkcs11Backend]:
    backend = token.keys()
    yield backend
    backend.close()


def answer(module: SecurityModule) -> c.Answer | c.Refusal:
    try:
        return module.execute(EXPORT)
    except CommandRefused as refused:
        return refused.code


def test_lost_means_later_and_found_means_as_before(token: SoftToken, keys: Pkcs11Backend) -> None:
    clock = HandClock()
    backend = Pkcs11Backend(token.file, keys._file, PIN, clock)
    module = SecurityModule(backend, clock)
    before = answer(module)
    assert isinstance(before, c.CardAdminKey)
    # Its worker crashes, as a token's library may.
    assert backend.worker_pid is not None
    os.kill(backend.worker_pid, signal.SIGKILL)
    assert answer(module) is c.Refusal.KEYS_AWAY
    token.lose()
    assert answer(module) is c.Refusal.KEYS_AWAY
    clock.now_ms += REOPEN_PAUSE_MS
    assert answer(module) is c.Refusal.KEYS_AWAY
    token.find()
    # Not asked again before its time.
    assert answer(module) is c.Refusal.KEYS_AWAY
    clock.now_ms += REOPEN_PAUSE_MS
    assert answer(module) == before
    backend.close()


def test_a_worker_that_hangs_is_ended(keys: Pkcs11Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    module = SecurityModule(keys, lambda: 0)
    before = answer(module)
    pid = keys.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with monkeypatch.context() as patched:
        patched.setattr("hsm_stub.backends.pkcs11.ANSWER_TIMEOUT_MS", 50)
        assert answer(module) is c.Refusal.KEYS_AWAY
    assert keys.worker_pid is None
    monkeypatch.setattr("hsm_stub.backends.pkcs11.REOPEN_PAUSE_MS", 0)
    assert answer(module) == before


def test_wrong_pin_and_wrong_token_are_told(token: SoftToken, keys: Pkcs11Backend) -> None:
    with pytest.raises(TokenError, match="PinIncorrect"):
        Pkcs11Backend.opened(token.file, "9999")
    with pytest.raises(KeyFileExists, match="never overwritten"):
        token.keys()
    token.file.unlink()
    # The file is gone, the keys are not: they are not made a second time over the first.
    with pytest.raises(TokenError, match="AttributeValueInvalid"):
        token.keys()
    assert keys.ring.active(SigningKey.RECEIPT).public_point


def test_keys_cannot_be_read(keys: Pkcs11Backend) -> None:
    import pkcs11
    from pkcs11.constants import Attribute

    keys.close()
    session = pkcs11.lib(MODULE).get_token(token_label=LABEL).open(user_pin=PIN)
    secrets = [
        one
        for one in session.get_objects()
        if one.object_class in {pkcs11.ObjectClass.SECRET_KEY, pkcs11.ObjectClass.PRIVATE_KEY}
    ]
    assert len(secrets) == len(MasterKey) + len(SigningKey)
    for one in secrets:
        assert one[Attribute.EXTRACTABLE] is False
        assert one[Attribute.SENSITIVE] is True
        assert one[Attribute.NEVER_EXTRACTABLE] is True
        with pytest.raises(pkcs11.exceptions.AttributeSensitive):
            one[Attribute.VALUE]
    session.close()


def test_a_changed_token_file_is_refused(token: SoftToken, keys: Pkcs11Backend) -> None:
    rotate(keys, MasterKey.CARD, NOW_MS)
    set_state(keys, MasterKey.CARD, 1, KeyState.RETIRED)
    text = token.file.read_text()
    token.file.write_text(text.replace('"retired"', '"retiring"'))
    with pytest.raises(KeyFileDamaged, match="not what its token wrote"):
        Pkcs11Backend.opened(token.file, PIN)
    token.file.write_text(text)
    again = Pkcs11Backend.opened(token.file, PIN)
    assert again.ring == keys.ring
    set_state(again, MasterKey.CARD, 1, KeyState.DESTROYED)
    with pytest.raises(CommandRefused):
        again.cmac(MasterKey.CARD, 1, b"")
    again.close()


def test_each_generation_in_the_token_vouches_for_the_next(keys: Pkcs11Backend) -> None:
    assert_vouched_for(keys)


def test_keys_of_a_ceremony_give_the_same_answers_in_a_token(token: SoftToken) -> None:
    material: KeyMaterial = new_key_material("77", NOW_MS)
    file = TokenFile(module=MODULE, token=LABEL, ring=material.ring)
    backend = Pkcs11Backend(token.file, file, PIN)
    backend.take(material)
    software, hard = (
        SecurityModule(one, lambda: 0) for one in (SoftwareBackend(material), backend)
    )
    assert hard.execute(EXPORT) == software.execute(EXPORT)
    assert hard.execute(c.GetPublicKeys()) == software.execute(c.GetPublicKeys())
    backend.close()
