"""The terminal's trust list: rotated keys are learnt by the chain from those at hand."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import msgspec
import pytest

from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client import commands as c
from hsm_stub.client.enums import KeyState
from hsm_stub.key_material import (
    KeyMaterial,
    new_key_material,
    with_entry,
    with_next_generation,
)
from hsm_stub.keyring import SigningKey
from hsm_stub.security_module import SecurityModule
from processing.terminals.trust import content_keys, receipt_keys, signed_list
from processing.wire.parameter_file import ParameterFile
from processing.wire.trust_list import USE_MINUTES, SignedTrustList, TrustFault, TrustListError
from terminal_sim.errors import TerminalError
from terminal_sim.trust import TRUST_NAME, TrustShelf, trust_fetcher
from tests.terminal_sim import world

NOW_MS = world.NOW_MS
MADE = new_key_material("99", NOW_MS)
CONTENT, RECEIPT, CA = SigningKey.CONTENT, SigningKey.RECEIPT, SigningKey.ISSUING_CA


def rotated(material: KeyMaterial, *keys: SigningKey) -> KeyMaterial:
    """Begin the next generation of each key."""
    for key in keys:
        material = with_next_generation(material, key, NOW_MS)
    return material


def brought(material: KeyMaterial, generation: int, state: KeyState) -> KeyMaterial:
    """Bring a generation of the content key to a state."""
    entry = next(e for e in material.ring.of(CONTENT) if e.generation == generation)
    return with_entry(material, msgspec.structs.replace(entry, state=state))


def module_of(material: KeyMaterial) -> SecurityModule:
    """Return a key service's inside."""
    return SecurityModule(SoftwareBackend(material), lambda: 0)


def public_of(material: KeyMaterial) -> c.PublicKeys:
    """Return what the key service tells of its keys."""
    public = module_of(material).execute(c.GetPublicKeys())
    assert isinstance(public, c.PublicKeys)
    return public


def list_of(material: KeyMaterial, issued_at_ms: int = NOW_MS) -> bytes:
    """Return the trust list that the centre gives out with these keys."""
    module = module_of(material)

    async def sign(document: bytes) -> tuple[bytes, bytes]:
        sha256 = hashlib.sha256(document).digest()
        signed = module.execute(c.SignStatement(domain="trust list", document_sha256=sha256))
        assert isinstance(signed, c.StatementSignature)
        return signed.key_id, signed.signature

    return asyncio.run(signed_list(public_of(material), sign, issued_at_ms)).encode()


def enrolled(material: KeyMaterial = MADE) -> ParameterFile:
    """Return the parameter file of a terminal that was enrolled with these keys."""
    public = public_of(material)
    return world.parameters(
        content_keys=content_keys(public),
        receipt_keys=receipt_keys(public),
        issuing_cas=public.issuing_certificates_in_use,
    )


TWICE = rotated(MADE, CONTENT, RECEIPT, CA, CONTENT)
FIRST_GONE = brought(brought(TWICE, 1, KeyState.RETIRED), 1, KeyState.DESTROYED)


@pytest.mark.parametrize("now", [MADE, TWICE, FIRST_GONE])
def test_keys_are_learnt_from_the_first_on(tmp_path: Path, now: KeyMaterial) -> None:
    shelf = TrustShelf(tmp_path, enrolled())
    assert shelf.parameters() == enrolled()
    assert shelf.renew(lambda: list_of(now))
    assert shelf.parameters() == enrolled(now)
    # It is found again, and the same list is no news.
    assert TrustShelf(tmp_path, enrolled()).parameters() == enrolled(now)
    assert not shelf.renew(lambda: list_of(now))
    assert not shelf.renew(lambda: list_of(now, NOW_MS - 1))
    assert shelf.renew(lambda: list_of(now, NOW_MS + 1))


def test_what_each_generation_is_good_for() -> None:
    parameters = enrolled(FIRST_GONE)
    assert len(parameters.content_keys) == 2
    assert len(parameters.receipt_keys) == 2
    assert len(parameters.issuing_cas) == 2
    assert parameters.content_keys[0] == FIRST_GONE.ring.active(CONTENT).public_point


def test_a_retired_key_names_no_successor_any_more(tmp_path: Path) -> None:
    """Whoever stole generation 1 makes keys of their own after it; the terminal knows better."""
    shelf = TrustShelf(tmp_path, enrolled())
    shelf.renew(lambda: list_of(brought(TWICE, 1, KeyState.RETIRED)))
    thief = rotated(MADE, CONTENT)
    with pytest.raises(TerminalError, match="no key of the terminal leads"):
        shelf.renew(lambda: list_of(thief, NOW_MS + 1))


def changed(**changes: object) -> bytes:
    """Return the list of the keys rotated twice with something else in its file."""
    return msgspec.structs.replace(SignedTrustList.decode(list_of(TWICE)), **changes).encode()


def forged_succession() -> bytes:
    """Return a list whose chain was signed by nobody."""
    (first, second) = SignedTrustList.decode(list_of(TWICE)).successions
    return changed(successions=(msgspec.structs.replace(first, signature=bytes(64)), second))


OTHERS = new_key_material("99", NOW_MS)
NOT_BELIEVED = [
    (b"", TrustFault.UNREADABLE),
    (b"[]", TrustFault.UNREADABLE),
    (list_of(TWICE)[:-1], TrustFault.UNREADABLE),
    (list_of(OTHERS), TrustFault.KEY_OTHER),
    (changed(successions=()), TrustFault.KEY_OTHER),
    (changed(signature=bytes(64)), TrustFault.SIGNATURE_WRONG),
    (changed(document=b"{}"), TrustFault.SIGNATURE_WRONG),
    (forged_succession(), TrustFault.SIGNATURE_WRONG),
]


@pytest.mark.parametrize(("data", "fault"), NOT_BELIEVED)
def test_what_is_not_believed_costs_nothing(tmp_path: Path, data: bytes, fault: TrustFault) -> None:
    shelf = TrustShelf(tmp_path, enrolled())
    shelf.renew(lambda: list_of(MADE))
    with pytest.raises(TerminalError) as raised:
        shelf.renew(lambda: data)
    assert fault.ru in raised.value.ru
    assert TrustShelf(tmp_path, enrolled()).trusted == shelf.trusted is not None


def test_a_list_for_other_uses_of_the_key_is_none() -> None:
    """What the content key signed for another purpose is no trust list."""
    file = SignedTrustList.decode(list_of(MADE))
    sha256 = hashlib.sha256(file.document).digest()
    signed = module_of(MADE).execute(c.SignStatement(domain="parameters", document_sha256=sha256))
    assert isinstance(signed, c.StatementSignature)
    file = msgspec.structs.replace(file, signature=signed.signature)
    with pytest.raises(TrustListError) as raised:
        file.trusted(enrolled().content_keys)
    assert raised.value.fault is TrustFault.SIGNATURE_WRONG


def test_keys_serve_offline_for_a_month(tmp_path: Path) -> None:
    shelf = TrustShelf(tmp_path, enrolled())
    ends_ms = NOW_MS + USE_MINUTES * 60_000
    assert shelf.usable(ends_ms)
    shelf.renew(lambda: list_of(MADE))
    assert (shelf.usable(ends_ms - 1), shelf.usable(ends_ms)) == (True, False)


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    TrustShelf(tmp_path, enrolled()).renew(lambda: list_of(TWICE))
    (tmp_path / TRUST_NAME).write_bytes(list_of(TWICE)[:99])
    shelf = TrustShelf(tmp_path, enrolled())
    assert shelf.trusted is None
    assert shelf.renew(lambda: list_of(TWICE))


@pytest.mark.parametrize(
    ("url", "words"),
    [(None, "nothing says where"), ("file:///x", "nothing says where")],
)
def test_an_address_is_needed(url: str | None, words: str) -> None:
    with pytest.raises(TerminalError, match=words):
        trust_fetcher(enrolled(), url)


def test_a_centre_that_is_away_is_said_to_be() -> None:
    fetch = trust_fetcher(enrolled(), "http://127.0.0.1:1/")
    with pytest.raises(TerminalError, match="no trust list from http"):
        fetch()
