"""A generation is retired only when the centre says that nothing lives on it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from cryptography import x509

from hsm_stub.errors import RotationRefused
from hsm_stub.key_file import KeyFile
from hsm_stub.keyring import KeyName, MasterKey, SigningKey
from hsm_stub.rotation import check_unused, read_use, rotate
from processing.wire.key_use import AGE_MAX_MS, KeyUse, KeyUseReport
from tests.hsm_stub.running import NOW_MS, PASSPHRASE


@pytest.fixture
def store(key_file: Path) -> KeyFile:
    """Give a key file whose keys that cards live on were rotated once."""
    made = KeyFile.opened(key_file, PASSPHRASE)
    for key in (MasterKey.CARD, MasterKey.TERMINAL, SigningKey.ISSUING_CA):
        rotate(made, key, NOW_MS)
    return made


def ca_name(store: KeyFile, generation: int) -> str:
    """Give the key identifier of an issuing CA, as the centre reads it off its certificates."""
    (entry,) = [e for e in store.ring.of(SigningKey.ISSUING_CA) if e.generation == generation]
    read = entry.issuer().extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return read.value.digest.hex()


def report(key: KeyName, name: str, users: int = 3, as_of_ms: int = NOW_MS) -> KeyUseReport:
    use = KeyUse(key=key.value, generation=name, users=users, last_day=date(2031, 9, 21))
    return KeyUseReport.decode(KeyUseReport(as_of_ms=as_of_ms, uses=(use,)).encode())


@pytest.mark.parametrize("key", [MasterKey.CARD, MasterKey.TERMINAL, SigningKey.ISSUING_CA])
def test_what_is_used_is_not_retired(store: KeyFile, key: KeyName) -> None:
    names = [ca_name(store, n) if key is SigningKey.ISSUING_CA else str(n) for n in (1, 2)]
    with pytest.raises(RotationRefused, match="still used by 3"):
        check_unused(store, key, 1, report(key, names[0]), NOW_MS)
    # Another generation's users, none, and another key's do not matter.
    check_unused(store, key, 1, report(key, names[1]), NOW_MS)
    check_unused(store, key, 1, report(key, names[0], users=0), NOW_MS)
    check_unused(store, key, 1, report(SigningKey.CONTENT, names[0]), NOW_MS)


@pytest.mark.parametrize("age_ms", [AGE_MAX_MS + 1, -1])
def test_a_report_of_another_day_says_nothing(store: KeyFile, age_ms: int) -> None:
    old = report(MasterKey.CARD, "2", as_of_ms=NOW_MS - age_ms)
    with pytest.raises(RotationRefused, match="older than 24 hours"):
        check_unused(store, MasterKey.CARD, 1, old, NOW_MS)


def test_an_unknown_generation_or_no_report_is_refused(store: KeyFile, tmp_path: Path) -> None:
    with pytest.raises(RotationRefused, match="no generation 9"):
        check_unused(store, MasterKey.CARD, 9, report(MasterKey.CARD, "9"), NOW_MS)
    (tmp_path / "use.json").write_text("{}")
    for name in ("use.json", "nowhere.json"):
        with pytest.raises(RotationRefused, match=name):
            read_use(tmp_path / name)
