"""The encrypted key file: round trip, wrong passphrase, damage, exposure."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from hsm_stub.errors import (
    KeyFileDamaged,
    KeyFileError,
    KeyFileExists,
    KeyFileExposed,
    KeyFileMissing,
    WrongPassphrase,
)
from hsm_stub.key_material import KeyMaterial
from hsm_stub.keyring import KEY_NAMES
from hsm_stub.keystore import create_key_file, open_key_file
from tests.hsm_stub.running import LIGHT_SCRYPT, PASSPHRASE


def rewritten(path: Path, content: bytes) -> None:
    """Write `content` with a right checksum, as one who alters the file on purpose would."""
    path.write_bytes(content + hashlib.sha256(content).digest())


def test_round_trip(key_file: Path, material: KeyMaterial) -> None:
    assert open_key_file(key_file, PASSPHRASE) == material
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in key_file.parent.iterdir()] == [key_file.name]


def test_no_key_lies_open_in_the_file(key_file: Path, material: KeyMaterial) -> None:
    content = key_file.read_bytes()
    assert len(material.secrets) == len(KEY_NAMES)
    assert not any(one.secret in content for one in material.secrets)


def test_two_files_of_the_same_keys_differ(key_file: Path, material: KeyMaterial) -> None:
    other = key_file.with_name("other.spk")
    create_key_file(other, material, PASSPHRASE, LIGHT_SCRYPT)
    assert other.read_bytes() != key_file.read_bytes()


def test_wrong_passphrase(key_file: Path) -> None:
    with pytest.raises(WrongPassphrase, match="the file itself is not damaged"):
        open_key_file(key_file, PASSPHRASE + "!")


@pytest.mark.parametrize("place", [0, 40, 120, 250, 400, -33, -1])
def test_a_flipped_bit_is_damage(key_file: Path, place: int) -> None:
    content = bytearray(key_file.read_bytes())
    content[place] ^= 1
    key_file.write_bytes(content)
    with pytest.raises(KeyFileDamaged, match="damaged or is no key file"):
        open_key_file(key_file, PASSPHRASE)


@pytest.mark.parametrize("length", [0, 1, 32, 100, 500])
def test_a_cut_file_is_damage(key_file: Path, length: int) -> None:
    key_file.write_bytes(key_file.read_bytes()[:length])
    with pytest.raises(KeyFileDamaged):
        open_key_file(key_file, PASSPHRASE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"scrypt_log2_n":10', b'"scrypt_log2_n":30'),
        (b'"version":1', b'"version":2'),
        (b'"scrypt_r":8', b'"scrypt_r":999'),
        (b"spk key file", b"pdf"),
    ],
)
def test_a_strange_header_is_refused_before_scrypt(key_file: Path, old: bytes, new: bytes) -> None:
    content = key_file.read_bytes()[:-32]
    assert old in content
    rewritten(key_file, content.replace(old, new))
    with pytest.raises(KeyFileDamaged, match="no key file of this release"):
        open_key_file(key_file, PASSPHRASE)


def test_an_altered_ciphertext_with_a_right_checksum_does_not_open(key_file: Path) -> None:
    content = bytearray(key_file.read_bytes()[:-32])
    content[-1] ^= 1
    rewritten(key_file, bytes(content))
    with pytest.raises(WrongPassphrase):
        open_key_file(key_file, PASSPHRASE)


def test_an_existing_file_is_never_overwritten(key_file: Path, material: KeyMaterial) -> None:
    before = key_file.read_bytes()
    with pytest.raises(KeyFileExists, match="never overwritten"):
        create_key_file(key_file, material, PASSPHRASE, LIGHT_SCRYPT)
    assert key_file.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_may_read_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(KeyFileExposed, match=f"chmod 600 {key_file}"):
        open_key_file(key_file, PASSPHRASE)


def test_missing_file_says_how_to_create_it(tmp_path: Path) -> None:
    with pytest.raises(KeyFileMissing, match="spk hsm init --keys"):
        open_key_file(tmp_path / "none.spk", PASSPHRASE)


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        open_key_file(tmp_path, PASSPHRASE)


def test_keys_of_another_release_are_named_as_such(short_tmp: Path, material: KeyMaterial) -> None:
    path = short_tmp / "keys.spk"
    strange = msgspec.structs.replace(material, ring={"region_code": "7"})
    create_key_file(path, strange, PASSPHRASE, LIGHT_SCRYPT)
    with pytest.raises(KeyFileDamaged, match="does not hold the keys of this release"):
        open_key_file(path, PASSPHRASE)
