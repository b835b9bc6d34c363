"""A terminal fetches the trust list: signed anew when the keys change, and once a day."""

from __future__ import annotations

import hashlib

from aiohttp.test_utils import TestClient, TestServer

from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client import commands as c
from hsm_stub.key_material import new_key_material, with_next_generation
from hsm_stub.keyring import SigningKey
from hsm_stub.security_module import SecurityModule
from processing.gateways.terminal_trust import trust_application
from processing.kernel.clock import ManualClock
from processing.terminals.trust import ISSUED_AGAIN_MS, TerminalTrust
from processing.wire.trust_list import SignedTrustList, TrustList

NOW_MS = 1_790_000_000_000


class Keys:
    """A key service's inside that can be rotated."""

    def __init__(self) -> None:
        self.material = new_key_material("99", NOW_MS)
        self.signed = 0

    async def public_keys(self) -> c.PublicKeys:
        """Tell the keys."""
        public = self._module.execute(c.GetPublicKeys())
        assert isinstance(public, c.PublicKeys)
        return public

    async def sign(self, document: bytes) -> tuple[bytes, bytes]:
        """Sign a trust list."""
        sha256 = hashlib.sha256(document).digest()
        signed = self._module.execute(c.SignStatement(domain="trust list", document_sha256=sha256))
        assert isinstance(signed, c.StatementSignature)
        self.signed += 1
        return signed.key_id, signed.signature

    def rotate(self, key: SigningKey) -> None:
        """Begin the next generation."""
        self.material = with_next_generation(self.material, key, NOW_MS)

    @property
    def point(self) -> bytes:
        """The content key's point."""
        return self.material.ring.active(SigningKey.CONTENT).public_point

    @property
    def _module(self) -> SecurityModule:
        return SecurityModule(SoftwareBackend(self.material), lambda: 0)


async def test_the_list_changes_with_the_keys_and_by_the_day() -> None:
    keys, clock = Keys(), ManualClock("Europe/Moscow", NOW_MS)
    trust = TerminalTrust(keys.public_keys, keys.sign, clock)
    async with TestClient(TestServer(trust_application(trust))) as client:

        async def get(tag: str = "") -> tuple[int, str, TrustList | None]:
            answer = await client.get("/", headers={"If-None-Match": tag} if tag else {})
            body = await answer.read()
            told = SignedTrustList.decode(body).trusted((point,)) if body else None
            return answer.status, answer.headers["ETag"], told

        point = keys.point
        status, tag, told = await get()
        assert (status, told and told.issued_at_ms) == (200, NOW_MS)
        assert await get(tag) == (304, tag, None)
        keys.rotate(SigningKey.ISSUING_CA)
        clock.advance(1)
        status, changed, told = await get(tag)
        assert (status, told and len(told.issuing_cas)) == (200, 2)
        clock.advance(ISSUED_AGAIN_MS - 1)
        assert await get(changed) == (304, changed, None)
        clock.advance(1)
        status, _, told = await get(changed)
        assert (status, told and told.issued_at_ms) == (200, clock.utc_ms())
        assert keys.signed == 3
