"""Reading an audit as a stranger would: is the chain whole, do the seals verify?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from hsm_stub.audit import audit_files
from hsm_stub.audit_record import GENESIS, Record, What, line_sha256, record_of
from hsm_stub.errors import AuditDamaged
from processing.wire.receipt import key_id_of
from processing.wire.statement import Domain, StatementError, verify_digest


class AuditVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit was found to be. `sealed` is the number of the last record under a seal."""

    files: int
    records: int
    sealed: int
    head: bytes
    used: int
    refused: int
    torn: int
    windows_open: int
    """Frequent uses whose sum is missing: the service was killed while they were under way."""


def verify_audit(folder: Path, audit_keys: Sequence[bytes], head: str = "") -> AuditVerdict:
    """Return what is in the audit; raises `AuditDamaged` naming the first record that is wrong.

    `audit_keys` are the public points (65 bytes) of every generation of the audit key; `head`, if
    given, the SHA-256 of a record noted elsewhere, which must be in the chain.
    """
    points = {key_id_of(point): point for point in audit_keys}
    sealed = used = refused = torn = number = 0
    before, found_head = GENESIS, not head
    begun: set[tuple[str, int, str]] = set()
    for path, line, record in read_audit(folder):
        if (record.number, record.before) != (number + 1, before.hex()):
            raise AuditDamaged(
                f"{path.name}: record {record.number} does not follow record {number}: records "
                "were changed, taken out or put in"
            )
        if record.what is What.SEAL:
            _check_seal(record, path, points)
            sealed = record.number
        number, before = record.number, line_sha256(line)
        found_head = found_head or before.hex() == head.lower()
        place = (record.client, record.uid, record.command)
        if record.what is What.BEGUN:
            begun.add(place)
        if record.what is What.SUMMED:
            begun.discard(place)
        used += (record.what is What.USED) + record.count * (record.what is What.SUMMED)
        refused += record.what is What.REFUSED
        torn += record.what is What.TORN
    if not found_head:
        raise AuditDamaged(
            f"the record {head[:16]}… that was noted is not here: the end of the audit was cut off"
        )
    return AuditVerdict(
        files=len(audit_files(folder)),
        records=number,
        sealed=sealed,
        head=before,
        used=used,
        refused=refused,
        torn=torn,
        windows_open=len(begun),
    )


def read_audit(folder: Path) -> Iterator[tuple[Path, bytes, Record]]:
    """Yield every record with its file and line, in order; raises `AuditDamaged`."""
    files = audit_files(folder)
    if not files:
        raise AuditDamaged(f"there is no audit in {folder}")
    for expected, path in enumerate(files, int(files[0].stem)):
        if int(path.stem) != expected:
            raise AuditDamaged(f"{expected:06}.jsonl is missing before {path.name}")
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    # Only the file being written may end so, and its writer tells it (`torn`).
                    if path == files[-1]:
                        return
                    raise AuditDamaged(f"{path.name} ends inside a record")
                try:
                    yield path, line[:-1], record_of(line)
                except msgspec.DecodeError as error:
                    raise AuditDamaged(f"{path.name}: a line is no record: {error}") from None


def _check_seal(record: Record, path: Path, points: dict[bytes, bytes]) -> None:
    try:
        key_id, signature = bytes.fromhex(record.key_id), bytes.fromhex(record.signature)
        digest = bytes.fromhex(record.before)
        point = points[key_id]
    except (KeyError, ValueError):
        raise AuditDamaged(
            f"{path.name}: the seal {record.number} is of a key that was not given"
        ) from None
    try:
        verify_digest(Domain.KEY_AUDIT, digest, key_id, signature, point)
    except StatementError:
        raise AuditDamaged(
            f"{path.name}: the seal {record.number} is forged, or records before it were changed"
        ) from None
