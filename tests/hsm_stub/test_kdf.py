"""Key derivation against frozen bytes and an independent implementation."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode
from hypothesis import given
from hypothesis import strategies as st

from hsm_stub import kdf

MASTER = bytes(range(32))
GUID = bytes.fromhex("00112233445566778899aabbccddeeff")

# label, context, expected; computed with cryptography's KBKDFCMAC and frozen.
VECTORS = [
    (kdf.TERMINAL_LABEL, kdf.terminal_context("00000001", 0), "c7b2ef15c725f899cb685cd34c503392"),
    (kdf.TERMINAL_LABEL, kdf.terminal_context("00000001", 1), "a942abed8d0655e638485ed24d0fada6"),
    (kdf.TERMINAL_LABEL, kdf.terminal_context("APTEKA42", 255), "30820920512c5032bced018d4036d9ad"),
    (
        kdf.EXCHANGE_LABEL,
        kdf.terminal_context("00000001", 1),
        "65ed17509f26b471839c1e3c5fa4005fb7a51605644748ea8b066fc220209cd1",
    ),
    (
        kdf.EXCHANGE_LABEL,
        kdf.terminal_context("APTEKA42", 2),
        "0fc8bd454a13a3e4e4dc972f859cd4fff91ef7701ac6ef3661ae0679d60e900e",
    ),
    (
        kdf.CARD_ADMIN_LABEL,
        kdf.card_context(GUID, 0),
        "cc67bbbfbd6e8edf9d2e6d078a5edbf7d1a9c66a5d5c4ba0",
    ),
    (
        kdf.CARD_ADMIN_LABEL,
        kdf.card_context(GUID, 1),
        "612138712c12d4aebfd7e91b13b5ce966e8e805bd1d2d2d2",
    ),
    (
        kdf.CARD_CHANNEL_LABEL,
        kdf.card_context(GUID, 1),
        (
            "12b143f59e7a39f083cb4b715eeebc87537ef68bb94ff0a76d436d77109fffb0"
            "9fb84b246df1864fcf3c645532b7eb68"
        ),
    ),
]


def own_cmac(message: bytes) -> bytes:
    cmac = CMAC(AES(MASTER))
    cmac.update(message)
    return cmac.finalize()


def reference(label: bytes, context: bytes, length: int) -> bytes:
    return KBKDFCMAC(
        algorithm=AES,
        mode=Mode.CounterMode,
        length=length,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=label,
        context=context,
        fixed=None,
    ).derive(MASTER)


@pytest.mark.parametrize(("label", "context", "expected"), VECTORS)
def test_frozen_vectors(label: bytes, context: bytes, expected: str) -> None:
    derived = kdf.derive(own_cmac, label, context, len(expected) // 2)
    assert derived.hex() == expected
    assert derived == reference(label, context, len(derived))


@given(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=40), st.integers(1, 64))
def test_agrees_with_cryptography(label: bytes, context: bytes, length: int) -> None:
    assert kdf.derive(own_cmac, label, context, length) == reference(label, context, length)


@pytest.mark.parametrize("length", [-1, 0, 65])
def test_length_is_limited(length: int) -> None:
    with pytest.raises(ValueError, match="1 to 64 allowed"):
        kdf.derive(own_cmac, b"l", b"c", length)
