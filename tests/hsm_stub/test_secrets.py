"""No secret in a repr, a log or an error."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path

import msgspec
import pytest

from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client import commands as c
from hsm_stub.client.async_client import AsyncHsmClient
from hsm_stub.client.errors import HsmRefused
from hsm_stub.errors import WrongPassphrase
from hsm_stub.key_material import KeyMaterial
from hsm_stub.keyring import MasterKey
from hsm_stub.keystore import open_key_file
from hsm_stub.security_module import SecurityModule
from tests.hsm_stub.examples import GUID, certificate_command
from tests.hsm_stub.running import RunningService

SECRET = bytes(range(200, 224))


def shown_forms(secret: bytes) -> tuple[str, ...]:
    return (secret.hex(), repr(secret)[2:-1], str(list(secret))[1:-1])


def assert_hides(text: str, secret: bytes) -> None:
    assert not any(form in text for form in shown_forms(secret))


@pytest.mark.parametrize(
    "answer",
    [
        c.TerminalKey(key=SECRET),
        c.ExchangeKey(key=SECRET),
        c.CardAdminKey(key=SECRET),
        c.CardAdminStarted(handle=SECRET, witness=SECRET, challenge=SECRET),
        c.AnswerFrame(request_id=1, answer=c.TerminalKey(key=SECRET)),
    ],
)
def test_answers_hide_their_secrets(answer: msgspec.Struct) -> None:
    assert "<hidden>" in repr(answer)
    assert_hides(f"{answer!r} {answer!s}", SECRET)


def test_keys_hide_themselves(material: KeyMaterial) -> None:
    assert repr(material) == "KeyMaterial(<hidden>)"
    backend = SoftwareBackend(material)
    shown = repr(backend) + repr(SecurityModule(backend, lambda: 0)) + repr(material.secrets)
    for one in material.secrets:
        assert_hides(shown, one.secret)


def test_closing_forgets_the_keys(material: KeyMaterial) -> None:
    backend = SoftwareBackend(material)
    backend.close()
    with pytest.raises(KeyError):
        backend.cmac(MasterKey.CARD, 1, b"")


def test_a_wrong_passphrase_is_not_repeated(key_file: Path) -> None:
    with pytest.raises(WrongPassphrase) as caught:
        open_key_file(key_file, "hunter2 hunter2")
    assert "hunter2" not in str(caught.value)


async def test_the_verbose_log_tells_who_and_not_what(
    service: RunningService, material: KeyMaterial
) -> None:
    ciphertext, response = bytes(range(16)), bytes(range(16, 32))
    async with AsyncHsmClient(service.address) as client:
        terminal_key = await client.derive_terminal_key("APTEKA42", 3)
        exchange_key = await client.derive_exchange_key("APTEKA42", 1)
        await client.wrap_terminal_key("APTEKA42", 4, 1)
        card_key = await client.derive_card_admin_key(GUID, 1)
        started = await client.card_admin_begin(GUID, 1, ciphertext)
        with pytest.raises(HsmRefused) as caught:
            await client.card_admin_finish(started.handle, response)
        wanted = certificate_command(c.CertificateSlot.AUTHENTICATION)
        await client.issue_card_certificate(**msgspec.structs.asdict(wanted))
    error = "".join(traceback.format_exception(caught.value))
    log = service.log.getvalue()
    for command in (
        "DeriveTerminalKey",
        "WrapTerminalKey",
        "DeriveCardAdminKey",
        "BeginCardAdmin",
        "APTEKA42",
    ):
        assert command in log
    assert GUID.hex() in log
    for secret in (
        terminal_key,
        exchange_key,
        card_key,
        started.handle,
        started.witness,
        started.challenge,
        response,
        material.secret_of(MasterKey.TERMINAL),
        material.secret_of(MasterKey.CARD),
    ):
        assert_hides(log + error, secret)


async def test_a_refused_field_is_named_and_not_quoted(service: RunningService) -> None:
    async with AsyncHsmClient(service.address) as client:
        with pytest.raises(HsmRefused, match="handle") as caught:
            await client.card_admin_finish(SECRET, bytes(16))
        await asyncio.sleep(0)
    assert caught.value.code is c.Refusal.BAD_ARGUMENT
    assert_hides(str(caught.value) + service.log.getvalue(), SECRET)
