"""Conducting a ceremony: keys are made, shares handed out and tried; only then do the keys count.

Until the end there is only a state file, encrypted under the passphrase that the keys will have, so
a ceremony that broke off goes on where it was: who has confirmed a sheet keeps it.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_stub.ceremony.record import Happened, Plan, Record, recorded_keys, signed_record
from hsm_stub.ceremony.shares import SECRET_BYTES, WORDS, combine, read_share, set_of, split
from hsm_stub.ceremony.sheets import Sheet
from hsm_stub.errors import CeremonyError, ShareError
from hsm_stub.key_material import KeyMaterial, SecretKey, new_key_material, point_of
from hsm_stub.keystore import create_key_file, open_key_file
from hsm_stub.private_file import write_private
from hsm_stub.recovery import read_recovery_file, recovery_path, write_recovery_file

CONFIRMED_WORDS: Final = 3
"""Words that a custodian reads off the sheet, drawn anew each time."""
ATTEMPTS_MAX: Final = 3
"""Wrong answers after which the sheet is handed over again."""
QUORUMS_TRIED_MAX: Final = 100
_RECOVERY: Final = "recovery"
_SHARE: Final = "share"


class Table(Protocol):
    """Where the ceremony takes place: what is said, asked and handed over."""

    def say(self, text: str) -> None:
        """Tell everybody."""

    def ask(self, question: str) -> str:
        """Return an answer typed in; raises EOFError or KeyboardInterrupt when it breaks off."""

    def hand_over(self, sheet: Sheet) -> None:
        """Print or show a sheet; raises `CeremonyError`."""


class _Progress(msgspec.Struct, kw_only=True):
    """How far the ceremony came. Nothing secret."""

    plan: Plan
    confirmed: list[int] = msgspec.field(default_factory=list)
    happened: list[Happened] = msgspec.field(default_factory=list)


Install = Callable[[KeyMaterial], None]
"""Puts the finished keys where they shall be: into a key file or a token."""


class Ceremony:
    """A ceremony in a folder. `utc_ms` is the wall clock."""

    def __init__(
        self, folder: Path, plan: Plan, passphrase: str, table: Table, utc_ms: Callable[[], int]
    ) -> None:
        self._folder = folder
        self._table = table
        self._utc_ms = utc_ms
        self._passphrase = passphrase
        self._progress = _Progress(plan=plan)
        self._state = folder / "ceremony.spk"
        self._notes = folder / "ceremony.json"

    def conduct(self, keys: Path, install: Install, scrypt_log2_n: int = 17) -> Path:
        """Go from beginning or interruption to the end, and return the record's path.

        Raises `CeremonyError`; EOFError and KeyboardInterrupt break off and leave the state.
        """
        plan = self._progress.plan
        material = self._begun(scrypt_log2_n)
        shares = [_text(material, _SHARE, n) for n in range(1, len(plan.custodians) + 1)]
        for number, custodian in enumerate(plan.custodians, 1):
            if number not in self._progress.confirmed:
                self._hand_over(number, custodian, shares[number - 1])
        self._try_quorums(shares, _secret(material, _RECOVERY, 1))
        finished = _without_shares(material)
        if not plan.dry_run:
            install(finished)
            write_recovery_file(recovery_path(keys), finished)
            self._note(plan.administrator, f"keys written to {keys.name}")
        record = self._write_record(finished, shares)
        self.abort()
        return record

    def abort(self) -> None:
        """Forget the ceremony: sheets handed out so far open nothing."""
        self._state.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def _begun(self, scrypt_log2_n: int) -> KeyMaterial:
        if self._state.exists():
            material = open_key_file(self._state, self._passphrase)
            before = msgspec.json.decode(self._notes.read_bytes(), type=_Progress)
            if before.plan != self._progress.plan:
                raise CeremonyError(
                    "a ceremony with another plan was interrupted here: go on with the same "
                    "words, or end it with: spk hsm ceremony abort"
                )
            self._progress = before
            self._note(before.plan.administrator, "ceremony resumed")
            self._table.say("The ceremony goes on where it was interrupted.")
            return material
        plan, now_ms = self._progress.plan, self._utc_ms()
        key = ec.generate_private_key(ec.SECP256R1())
        secret = key.private_numbers().private_value.to_bytes(SECRET_BYTES)
        shares = split(secret, plan.threshold, len(plan.custodians))
        material = new_key_material(plan.region, now_ms, plan.pki_url)
        extra = (
            SecretKey(key=_RECOVERY, generation=1, secret=secret),
            *(
                SecretKey(key=_SHARE, generation=number, secret=words.encode())
                for number, words in enumerate(shares, 1)
            ),
        )
        material = msgspec.structs.replace(
            material,
            secrets=material.secrets + extra,
            recovery_point=point_of(key.public_key()),
        )
        self._note(plan.administrator, "keys and shares made")
        create_key_file(self._state, material, self._passphrase, scrypt_log2_n)
        return material

    def _hand_over(self, number: int, custodian: str, words: str) -> None:
        plan = self._progress.plan
        sheet = Sheet(
            region=plan.region,
            number=number,
            count=len(plan.custodians),
            threshold=plan.threshold,
            custodian=custodian,
            date=_date(self._utc_ms()),
            words=words,
            dry_run=plan.dry_run,
        )
        while True:
            self._table.ask(f"{custodian}, step forward alone and press Enter.")
            self._table.hand_over(sheet)
            self._note(custodian, f"sheet {number} handed over")
            if self._confirmed(words.split()):
                break
            self._table.say("The sheet is handed over once more; destroy the one before.")
        self._progress.confirmed.append(number)
        self._note(custodian, f"sheet {number} confirmed")

    def _confirmed(self, words: list[str]) -> bool:
        wrong = 0
        for place in sorted(secrets.SystemRandom().sample(range(WORDS), CONFIRMED_WORDS)):
            while self._table.ask(f"Word {place + 1} of the sheet: ").strip().lower() not in {
                words[place],
                words[place][:4],
            }:
                self._table.say(f"Word {place + 1} of the sheet is another.")
                wrong += 1
                if wrong == ATTEMPTS_MAX:
                    return False
        return True

    def _try_quorums(self, shares: list[str], secret: bytes) -> None:
        quorums = itertools.combinations(shares, self._progress.plan.threshold)
        for quorum in itertools.islice(quorums, QUORUMS_TRIED_MAX):
            if combine(quorum) != secret:
                raise CeremonyError("a quorum does not restore the keys; end this ceremony")
        self._note(self._progress.plan.administrator, "quorums tried: they restore the keys")

    def _write_record(self, material: KeyMaterial, shares: list[str]) -> Path:
        plan = self._progress.plan
        record = Record(
            kind="dry run" if plan.dry_run else "ceremony",
            plan=plan,
            recovery_key_id=hashlib.sha256(material.recovery_point).hexdigest()[:16],
            shares=tuple(hashlib.sha256(words.encode()).hexdigest() for words in shares),
            keys=recorded_keys(material),
            happened=tuple(self._progress.happened),
        )
        path = self._folder / f"record-{_date(self._utc_ms())}-{secrets.token_hex(4)}.json"
        write_private(path, signed_record(record, material))
        return path

    def _note(self, who: str, what: str) -> None:
        self._progress.happened.append(Happened(self._utc_ms(), who, what))
        write_private(self._notes, msgspec.json.encode(self._progress))


def restore(recovery: Path, table: Table) -> KeyMaterial:
    """Ask for shares until they suffice, and return the keys of a recovery file.

    A mistyped share is told with the place of its wrong word and asked for again.
    """
    shares: dict[int, str] = {}
    wanted: tuple[int, int] | None = None
    while wanted is None or len(shares) < wanted[1]:
        left = "" if wanted is None else f" ({wanted[1] - len(shares)} more)"
        try:
            share = read_share(table.ask(f"The 33 words of a share{left}: "))
            identifier, threshold, number = set_of(share)
            if wanted is not None and wanted != (identifier, threshold):
                raise ShareError("this share is of another ceremony (words 1 and 2 differ)")
            if number in shares:
                raise ShareError(f"share {number} was given already")
        except ShareError as error:
            table.say(f"Not taken: {error}")
            continue
        wanted, shares[number] = (identifier, threshold), share
        table.say(f"Share {number} is right.")
    return read_recovery_file(recovery, combine(list(shares.values())))


def _without_shares(material: KeyMaterial) -> KeyMaterial:
    kept = tuple(one for one in material.secrets if one.key not in {_RECOVERY, _SHARE})
    return msgspec.structs.replace(material, secrets=kept)


def _secret(material: KeyMaterial, key: str, number: int) -> bytes:
    return next(
        one.secret for one in material.secrets if (one.key, one.generation) == (key, number)
    )


def _text(material: KeyMaterial, key: str, number: int) -> str:
    return _secret(material, key, number).decode()


def _date(moment_ms: int) -> str:
    return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%d}"
