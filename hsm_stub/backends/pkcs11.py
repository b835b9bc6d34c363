"""The PKCS#11 backend: keys in a token, used there and never read.

All calls go to one worker process (`pkcs11_worker`). When the token is lost, the worker dies or
does not answer, the command is told to try later, and the next one begins another worker.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from hsm_stub.backends.pkcs11_protocol import Reply, Request
from hsm_stub.backends.signer import BackendSigner
from hsm_stub.backends.token_file import TokenFile, read_token_file, write_token_file
from hsm_stub.certificates import ca_certificate
from hsm_stub.client.commands import KeyState, Refusal
from hsm_stub.errors import CommandRefused, KeyFileExists, TokenError
from hsm_stub.key_material import KeyMaterial, next_generation, private_key, with_active
from hsm_stub.keyring import (
    KEY_NAMES,
    KeyEntry,
    KeyName,
    KeyRing,
    MasterKey,
    SigningKey,
    succession_digest,
)
from processing.wire.statement import Domain, statement_bytes

ANSWER_TIMEOUT_MS: Final = 5_000
"""Longest wait for the token; then its worker is ended."""
REOPEN_PAUSE_MS: Final = 1_000
"""Pause between two attempts to reach a token that was lost; commands are refused meanwhile."""


class Pkcs11Backend:
    """Keys of a token (see `Backend` and `KeyStore` for the methods)."""

    name = "pkcs11"

    def __init__(
        self,
        path: Path,
        file: TokenFile,
        pin: str,
        monotonic_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self._path = path
        self._file = file
        self._pin = pin
        self._monotonic_ms = monotonic_ms
        self._worker: subprocess.Popen[bytes] | None = None
        self._lost_ms: int | None = None

    def __repr__(self) -> str:
        """Return the token's name alone: the PIN must not reach a log."""
        return f"Pkcs11Backend({self._file.token!r})"

    @classmethod
    def opened(cls, path: Path, pin: str) -> Pkcs11Backend:
        """Return the keys that a token file names; raises `KeyFileError`, `TokenError`."""
        _require_library()
        backend = cls(path, read_token_file(path), pin)
        backend.reach()
        return backend

    @property
    def ring(self) -> KeyRing:
        """Return which keys there are."""
        return self._file.ring

    @property
    def worker_pid(self) -> int | None:
        """Return the worker's process id, if there is one."""
        return None if self._worker is None else self._worker.pid

    def reach(self) -> None:
        """Raise `TokenError` unless the token is there and its PIN right."""
        try:
            self.random(1)
        except CommandRefused as refused:
            raise TokenError(refused.message) from None

    def again(self) -> Pkcs11Backend:
        """Return another backend over the token file as it is now."""
        return Pkcs11Backend(self._path, read_token_file(self._path), self._pin)

    def cmac(self, key: MasterKey, generation: int, message: bytes) -> bytes:
        """Return the AES-CMAC of `message` (CKM_AES_CMAC, 16 bytes)."""
        return self._ask(Request(do="cmac", label=label_of(key, generation), data=message))

    def sign_digest(self, key: SigningKey, generation: int, digest: bytes) -> bytes:
        """Return the signature of a SHA-256 digest, raw r‖s (CKM_ECDSA, 64 bytes)."""
        return self._ask(Request(do="sign", label=label_of(key, generation), data=digest))

    def random(self, count: int) -> bytes:
        """Return random bytes of the token."""
        return self._ask(Request(do="random", count=count))

    def close(self) -> None:
        """End the worker, and with it the session."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            for stream in (worker.stdin, worker.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            worker.kill()
            worker.wait()

    def add(self, key: KeyName, created_at_ms: int) -> KeyEntry:
        """Make the next generation of `key` in the token; the one before is retiring."""
        generation = next_generation(self.ring, key)
        label, point = label_of(key, generation), b""
        match key:
            case MasterKey():
                self._make(Request(do="make master", label=label))
            case SigningKey():
                point = self._make(Request(do="make signer", label=label))
        entry = KeyEntry(
            key=key.value,
            generation=generation,
            state=KeyState.ACTIVE,
            created_at_ms=created_at_ms,
            public_point=point,
        )
        if key is SigningKey.ISSUING_CA:
            signer = BackendSigner(self, entry)
            der = ca_certificate(signer, self.ring.region_code, created_at_ms, generation)
            entry = msgspec.structs.replace(entry, certificate=der)
        if isinstance(key, SigningKey) and generation > 1:
            before = self.ring.active(key)
            digest = succession_digest(before, entry)
            endorsed = self._make(
                Request(do="sign", label=label_of(key, before.generation), data=digest)
            )
            entry = msgspec.structs.replace(entry, endorsement=endorsed)
        self._keep(with_active(self.ring, entry))
        return entry

    def put(self, entry: KeyEntry) -> None:
        """Keep an entry's new state; a destroyed one is destroyed in the token first."""
        if entry.state is KeyState.DESTROYED:
            self._make(Request(do="destroy", label=f"spk {entry.key} {entry.generation}"))
        self._keep(self.ring.replaced(entry))

    def take(self, material: KeyMaterial) -> None:
        """Put keys made elsewhere, as at a ceremony, into the token, never to be read again."""
        for one in material.secrets:
            label = f"spk {one.key} {one.generation}"
            if one.key in {key.value for key in MasterKey}:
                self._make(Request(do="put master", label=label, data=one.secret))
            else:
                scalar = private_key(one.secret).private_numbers().private_value.to_bytes(32)
                self._make(Request(do="put signer", label=label, data=scalar))
        self._keep(material.ring, new=True)

    def _keep(self, ring: KeyRing, *, new: bool = False) -> None:
        file = msgspec.structs.replace(self._file, ring=ring)
        if all(ring.of(key) for key in KEY_NAMES):
            audit = ring.active(SigningKey.AUDIT)

            def sign(digest: bytes) -> bytes:
                statement = statement_bytes(Domain.KEY_AUDIT, audit.key_id, digest)
                return self.sign_digest(
                    SigningKey.AUDIT, audit.generation, hashlib.sha256(statement).digest()
                )

            write_token_file(self._path, file, sign, new=new)
        self._file = file

    def _make(self, request: Request) -> bytes:
        """Change the token; raises `TokenError`."""
        try:
            return self._ask(request)
        except CommandRefused as refused:
            raise TokenError(refused.message) from None

    def _ask(self, request: Request) -> bytes:
        """Return the worker's answer; raises `CommandRefused` (KEYS_AWAY) when there is none."""
        if self._worker is None:
            self._begin()
        return self._say(request)

    def _begin(self) -> None:
        now_ms = self._monotonic_ms()
        if self._lost_ms is not None and now_ms - self._lost_ms < REOPEN_PAUSE_MS:
            raise _away(self._file, "it was lost a moment ago")
        self._worker = subprocess.Popen(
            (sys.executable, "-P", "-m", "hsm_stub.backends.pkcs11_worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        opening = Request(
            do="open",
            module=self._file.module,
            token=self._file.token,
            data=self._pin.encode(),
        )
        self._say(opening)
        self._lost_ms = None

    def _say(self, request: Request) -> bytes:
        body = msgspec.msgpack.encode(request)
        try:
            if self._worker is None or self._worker.stdin is None:
                raise OSError("no worker")
            self._worker.stdin.write(len(body).to_bytes(4) + body)
            self._worker.stdin.flush()
            reply = msgspec.msgpack.decode(self._receive(), type=Reply)
        except (OSError, TimeoutError, msgspec.DecodeError) as error:
            self._lose()
            raise _away(self._file, str(error) or type(error).__name__) from None
        if reply.fault:
            self._lose()
            raise _away(self._file, reply.fault)
        return reply.data

    def _receive(self) -> bytes:
        deadline_ms = self._real_ms() + ANSWER_TIMEOUT_MS
        length = int.from_bytes(self._receive_exactly(4, deadline_ms))
        return self._receive_exactly(length, deadline_ms)

    def _receive_exactly(self, count: int, deadline_ms: int) -> bytes:
        if self._worker is None or self._worker.stdout is None:
            raise OSError("no worker")
        descriptor, data = self._worker.stdout.fileno(), b""
        while len(data) < count:
            left_ms = deadline_ms - self._real_ms()
            if left_ms <= 0 or not select.select([descriptor], [], [], left_ms / 1000)[0]:
                raise TimeoutError(f"no answer in {ANSWER_TIMEOUT_MS} ms")
            chunk = os.read(descriptor, count - len(data))
            if not chunk:
                raise OSError("its worker ended")
            data += chunk
        return data

    def _lose(self) -> None:
        self.close()
        self._lost_ms = self._monotonic_ms()

    @staticmethod
    def _real_ms() -> int:
        return time.monotonic_ns() // 1_000_000


def new_token_keys(
    path: Path, module: str, token: str, pin: str, region_code: str, now_ms: int, pki_url: str = ""
) -> Pkcs11Backend:
    """Make every key in a token that is initialized, and write its token file.

    Raises `KeyFileExists`, `TokenError`; keys of an earlier attempt are never overwritten.
    """
    _require_library()
    if path.exists():
        raise KeyFileExists(f"{path} exists and keys are never overwritten")
    ring = KeyRing(region_code=region_code, entries=(), pki_url=pki_url)
    backend = Pkcs11Backend(path, TokenFile(module=module, token=token, ring=ring), pin)
    try:
        for key in KEY_NAMES:
            backend.add(key, now_ms)
    except BaseException:
        backend.close()
        raise
    return backend


def _require_library() -> None:
    """Raise `ModuleNotFoundError` here, where it says what to install, not in the worker."""
    if importlib.util.find_spec("pkcs11") is None:
        raise ModuleNotFoundError("No module named 'pkcs11'", name="pkcs11")


def label_of(key: KeyName, generation: int) -> str:
    """Return how a generation is called in the token (CKA_LABEL)."""
    return f"spk {key.value} {generation}"


def _away(file: TokenFile, why: str) -> CommandRefused:
    return CommandRefused(
        Refusal.KEYS_AWAY, f"the token {file.token!r} does not answer ({why}); try later"
    )
