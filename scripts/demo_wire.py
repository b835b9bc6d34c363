"""Messages that no honest terminal sends, straight on the wire, and what the centre answers."""

from __future__ import annotations

import os
import socket
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from processing.wire.digest import request_digest
from processing.wire.iso8583.answers import decode_answer
from processing.wire.iso8583.framing import FrameReader
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import CentreMessage, Envelope, Rejection
from processing.wire.iso8583.requests import encode_request
from processing.wire.parameter_file import ParameterFile
from processing.wire.transaction import Kind, Line, MessageClass, Request, TransactionKey
from terminal_sim.card import PresentedCard, drawer_card

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Wire:
    """A bare connection to the centre in the name of one terminal."""

    def __init__(self, parameters: ParameterFile) -> None:
        self._parameters = parameters
        self._mac = Mac(parameters.mac_key)
        self._stan = 900_000
        self._key = ec.generate_private_key(ec.SECP256R1())

    def sale(self, card_id: bytes, holder_id: bytes, signed_at_ms: int | None = None) -> Request:
        """Return a sale signed by a key that belongs to no card."""
        self._stan += 1
        now_ms = time.time_ns() // 1_000_000
        local = datetime.fromtimestamp(now_ms // 1000, ZoneInfo(self._parameters.time_zone))
        request = Request(
            kind=Kind.SALE,
            key=TransactionKey(
                local.date(), self._parameters.terminal_id, self._stan, MessageClass.FINANCIAL
            ),
            issuer_region=self._parameters.region,
            card_id=card_id,
            holder_id=holder_id,
            terminal_epoch=1,
            terminal_sequence=self._stan,
            signed_at_ms=now_ms if signed_at_ms is None else signed_at_ms,
            service="MEDICINE",
            service_version=1,
            lines=(Line("ENALAPRIL-10-20", 1, 778, 0, 14_550),),
            nonce=os.urandom(16),
        )
        return msgspec.structs.replace(request, signature=self._signature(request))

    def signed_by(self, card: Path, request: Request) -> Request:
        """Return the request signed by a software card of the drawer, as at a tap."""
        with drawer_card(card) as transport:
            presented = PresentedCard.read(transport, self._parameters, request.signed_at_ms)
            signature = presented.sign(request_digest(request), request.evidence, str)
        return msgspec.structs.replace(request, signature=signature)

    def ask(self, request: Request, mac: Mac | None = None) -> CentreMessage:
        """Send one request, with the terminal's key or another one, and return the answer."""
        parameters = self._parameters
        envelope = Envelope(
            key_id=parameters.key_generation, sent_at_ms=time.time_ns() // 1_000_000
        )
        message = encode_request(request, envelope, parameters.profile.profile, mac or self._mac)
        answer = self.exchange(message)
        return decode_answer(answer, parameters.profile.profile, self._mac)

    def ask_garbled(self) -> Rejection:
        """Send a message whose business date is no date; return the centre's refusal."""
        request = self.sale(bytes(16), bytes(15) + b"\x01")
        parameters = self._parameters
        envelope = Envelope(key_id=parameters.key_generation, sent_at_ms=request.signed_at_ms)
        profile = parameters.profile.profile
        sound = encode_request(request, envelope, profile, self._mac)
        day = f"{request.key.business_date:%Y%m%d}".encode()
        answer = decode_answer(self.exchange(sound.replace(day, b"20261399")), profile, self._mac)
        if not isinstance(answer, Rejection):
            raise TypeError(f"a garbled message was answered with {answer}")
        return answer

    def exchange(self, message: bytes) -> bytes:
        """Send any bytes in a sound frame and return the message that comes back."""
        parameters = self._parameters
        framing = parameters.framing.framing
        reader = FrameReader(framing)
        with socket.create_connection((parameters.centre_host, parameters.centre_port), 5) as line:
            line.settimeout(10)
            line.sendall(framing.wrap(message))
            while True:
                if frames := reader.feed(line.recv(4096)):
                    return frames[0].message

    def _signature(self, request: Request) -> bytes:
        der = self._key.sign(request_digest(request), ec.ECDSA(Prehashed(hashes.SHA256())))
        r, s = decode_dss_signature(der)
        return r.to_bytes(32) + min(s, _ORDER - s).to_bytes(32)
