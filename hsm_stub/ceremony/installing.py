"""Where the keys of a ceremony go: into a key file, or into a token, never to be read again."""

from __future__ import annotations

from pathlib import Path

from hsm_stub.ceremony.conduct import Install
from hsm_stub.errors import CeremonyError
from hsm_stub.key_material import KeyMaterial
from hsm_stub.keystore import create_key_file


def installer(path: Path, passphrase: str, module: str, token: str) -> Install:
    """Return what installs keys at `path`; `module` and `token` name a token's library, label."""
    if not (module or token):
        return lambda material: create_key_file(path, material, passphrase)
    if not (module and token and path.suffix == ".p11"):
        raise CeremonyError("keys in a token need --module, --token and --keys …/keys.p11")
    return lambda material: _into_token(path, material, passphrase, module, token)


def _into_token(path: Path, material: KeyMaterial, pin: str, module: str, token: str) -> None:
    from hsm_stub.backends.pkcs11 import Pkcs11Backend
    from hsm_stub.backends.token_file import TokenFile

    backend = Pkcs11Backend(path, TokenFile(module=module, token=token, ring=material.ring), pin)
    try:
        backend.take(material)
    finally:
        backend.close()
