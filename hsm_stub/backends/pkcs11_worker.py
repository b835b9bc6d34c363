"""The one worker that speaks with a PKCS#11 token, in a process of its own.

Token libraries are seldom thread-safe, some crash, some hang. So a process does nothing else, and
who needs it ends it and begins another when the token was lost. Requests and answers are a 4-byte
big-endian length and a MessagePack map each, over stdin and stdout. The PIN comes in the first one.
Started as `python -m hsm_stub.backends.pkcs11_worker`.
"""

from __future__ import annotations

import sys
from typing import Any, BinaryIO, Final

import msgspec
import pkcs11
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType, Mechanism
from pkcs11.util.ec import encode_named_curve_parameters

from hsm_stub.backends.pkcs11_protocol import Reply, Request

MASTER_BITS: Final = 256
POINT_BYTES: Final = 65
CURVE: Final = "secp256r1"
_HIDDEN: Final = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.TOKEN: True,
    Attribute.PRIVATE: True,
}


class Token:
    """An open session, and the keys found so far."""

    def __init__(self, module: str, token: str, pin: str) -> None:
        self._session = pkcs11.lib(module).get_token(token_label=token).open(user_pin=pin, rw=True)
        self._found: dict[str, Any] = {}

    def do(self, request: Request) -> bytes:
        """Return what was asked for; raises the errors of the token."""
        match request.do:
            case "cmac":
                return self._sign(ObjectClass.SECRET_KEY, Mechanism.AES_CMAC, request)
            case "sign":
                return self._sign(ObjectClass.PRIVATE_KEY, Mechanism.ECDSA, request)
            case "random":
                return bytes(self._session.generate_random(request.count * 8))
            case "make master":
                self._refuse_taken(request.label)
                self._session.generate_key(
                    KeyType.AES,
                    MASTER_BITS,
                    label=request.label,
                    store=True,
                    template={**_HIDDEN, Attribute.SIGN: True},
                )
                return b""
            case "make signer":
                return self._make_signer(request.label)
            case "put master":
                return self._put(request, ObjectClass.SECRET_KEY, {Attribute.KEY_TYPE: KeyType.AES})
            case "put signer":
                kind = {
                    Attribute.KEY_TYPE: KeyType.EC,
                    Attribute.EC_PARAMS: encode_named_curve_parameters(CURVE),
                }
                return self._put(request, ObjectClass.PRIVATE_KEY, kind)
            case "destroy":
                self._found.clear()
                for found in list(self._session.get_objects({Attribute.LABEL: request.label})):
                    found.destroy()
                return b""
            case _:
                raise ValueError(request.do)

    def _sign(self, kind: ObjectClass, mechanism: Mechanism, request: Request) -> bytes:
        key: Any = self._found.get(request.label)
        if key is None:
            key = self._session.get_key(object_class=kind, label=request.label)
            self._found[request.label] = key
        return bytes(key.sign(request.data, mechanism=mechanism))

    def _make_signer(self, label: str) -> bytes:
        self._refuse_taken(label)
        parameters = self._session.create_domain_parameters(
            KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters(CURVE)}, local=True
        )
        public, _ = parameters.generate_keypair(
            store=True,
            label=label,
            private_template={**_HIDDEN, Attribute.SIGN: True},
            public_template={Attribute.TOKEN: True, Attribute.VERIFY: True},
        )
        # The point is wrapped in an OCTET STRING, by some tokens and not by others.
        return bytes(public[Attribute.EC_POINT])[-POINT_BYTES:]

    def _put(self, request: Request, kind: ObjectClass, more: dict[Attribute, object]) -> bytes:
        self._refuse_taken(request.label)
        self._session.create_object(
            {
                **_HIDDEN,
                **more,
                Attribute.CLASS: kind,
                Attribute.LABEL: request.label,
                Attribute.VALUE: request.data,
                Attribute.SIGN: True,
            }
        )
        return b""

    def _refuse_taken(self, label: str) -> None:
        if list(self._session.get_objects({Attribute.LABEL: label})):
            raise pkcs11.exceptions.AttributeValueInvalid(label)


def main(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Serve until the other side closes. After a fault the session is of no use: end."""
    token: Token | None = None
    while (request := _read(incoming)) is not None:
        try:
            if token is None:
                token = Token(request.module, request.token, request.data.decode())
                reply = Reply()
            else:
                reply = Reply(data=token.do(request))
        except Exception as error:
            # Whatever a module says: its name goes on, its words might quote what it worked on.
            _write(outgoing, Reply(fault=type(error).__name__))
            return
        _write(outgoing, reply)


def _read(stream: BinaryIO) -> Request | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    return msgspec.msgpack.decode(stream.read(int.from_bytes(head)), type=Request)


def _write(stream: BinaryIO, reply: Reply) -> None:
    body = msgspec.msgpack.encode(reply)
    stream.write(len(body).to_bytes(4) + body)
    stream.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
