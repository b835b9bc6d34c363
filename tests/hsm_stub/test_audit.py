"""The audit: whoever changes, takes out, puts in or cuts off a record is convicted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hsm_stub.audit import AuditLog, audit_files, last_policy
from hsm_stub.audit_check import verify_audit
from hsm_stub.errors import AuditDamaged, AuditError
from hsm_stub.key_material import new_key_material
from hsm_stub.keyring import SigningKey
from hsm_stub.security_module import SecurityModule
from hsm_stub.uses import Use
from tests.hsm_stub.running import NOW_MS

USE = Use("derive_card_admin_key", "card master")
FREQUENT = Use("sign_receipt_block", "receipt signing", summed=True)
POLICY = bytes(range(32))


def opened(module: SecurityModule, folder: Path) -> AuditLog:
    return AuditLog(folder, module, lambda: NOW_MS, POLICY)


def written(module: SecurityModule, folder: Path, uses: int = 6) -> bytes:
    """An audit of two files, closed, and the head of its chain."""
    head = b""
    for _ in range(2):
        log = opened(module, folder)
        for number in range(uses):
            log.used("station-1", 7, USE, "nine b", "", {"card_guid": f"{number:032x}"})
        log.refused("centre", 8, USE, "not_allowed", {})
        log.close()
        head = log.head
    return head


def points(module: SecurityModule) -> tuple[bytes, ...]:
    return (module.audit_point(),)


def test_a_whole_audit_verifies(module: SecurityModule, tmp_path: Path) -> None:
    head = written(module, tmp_path)
    verdict = verify_audit(tmp_path, points(module), head.hex())
    assert (verdict.files, verdict.used, verdict.refused) == (2, 12, 2)
    assert verdict.sealed == verdict.records == 20
    assert (verdict.head, verdict.torn, verdict.windows_open) == (head, 0, 0)
    assert last_policy(tmp_path) == POLICY.hex()


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def changed(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"station-1", b"station-9", 1))


def left_out(path: Path) -> None:
    path.write_bytes(b"".join(lines(path)[:2] + lines(path)[3:]))


def put_in(path: Path) -> None:
    path.write_bytes(b"".join(lines(path)[:2] + lines(path)[1:]))


def swapped(path: Path) -> None:
    first, second, third, *rest = lines(path)
    path.write_bytes(b"".join((first, third, second, *rest)))


def seal_of_nothing(path: Path) -> None:
    *kept, seal = lines(path)
    record = json.loads(seal) | {"signature": "00" * 64}
    path.write_bytes(b"".join(kept) + json.dumps(record).encode() + b"\n")


def cut_inside(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


TAMPERINGS = (changed, left_out, put_in, swapped, seal_of_nothing, cut_inside, Path.unlink)


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_tampering_with_the_first_file_is_seen(
    module: SecurityModule, tmp_path: Path, tamper: Callable[[Path], None]
) -> None:
    written(module, tmp_path)
    tamper(audit_files(tmp_path)[0])
    with pytest.raises(AuditDamaged):
        verify_audit(tmp_path, points(module))


def test_an_end_cut_off_is_seen_by_a_head_noted_elsewhere(
    module: SecurityModule, tmp_path: Path
) -> None:
    head = written(module, tmp_path)
    last = audit_files(tmp_path)[-1]
    last.write_bytes(b"".join(lines(last)[:3]))
    assert verify_audit(tmp_path, points(module)).sealed == 10
    with pytest.raises(AuditDamaged, match="the end of the audit was cut off"):
        verify_audit(tmp_path, points(module), head.hex())


def test_a_chain_written_anew_needs_the_key(module: SecurityModule, tmp_path: Path) -> None:
    written(module, tmp_path)
    other = new_key_material("77", NOW_MS).ring.active(SigningKey.AUDIT).public_point
    with pytest.raises(AuditDamaged, match="of a key that was not given"):
        verify_audit(tmp_path, (other,))


def test_a_torn_last_line_is_told_and_the_chain_goes_on(
    module: SecurityModule, tmp_path: Path
) -> None:
    written(module, tmp_path)
    last = audit_files(tmp_path)[-1]
    with last.open("ab") as file:
        file.write(b'{"number":21,"at')
    written(module, tmp_path)
    verdict = verify_audit(tmp_path, points(module))
    assert (verdict.torn, verdict.files, verdict.used) == (1, 4, 24)


def test_a_killed_service_leaves_its_window_open(module: SecurityModule, tmp_path: Path) -> None:
    log = opened(module, tmp_path)
    log.used("centre", 1, FREQUENT, "receipts", "", {"lane": 1})
    before = {path.name: path.read_bytes() for path in audit_files(tmp_path)}
    log.close()
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    opened(module, tmp_path).close()
    verdict = verify_audit(tmp_path, points(module))
    assert (verdict.windows_open, verdict.used) == (1, 0)


def test_damage_stops_the_next_service(module: SecurityModule, tmp_path: Path) -> None:
    written(module, tmp_path)
    changed(audit_files(tmp_path)[-1])
    with pytest.raises(AuditDamaged, match="spk hsm audit verify"):
        opened(module, tmp_path)


def test_one_service_writes_one_audit(module: SecurityModule, tmp_path: Path) -> None:
    log = opened(module, tmp_path)
    with pytest.raises(AuditError, match="another key service writes"):
        opened(module, tmp_path)
    log.close()
    opened(module, tmp_path).close()


def test_large_audits_go_on_in_another_file(
    module: SecurityModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsm_stub.audit.FILE_BYTES_MAX", 2_000)
    monkeypatch.setattr("hsm_stub.audit.SEAL_EVERY_RECORDS", 10)
    log = opened(module, tmp_path)
    for _ in range(50):
        log.used("station-1", 7, USE, "nine b", "2026-11-23", {})
    log.close()
    verdict = verify_audit(tmp_path, points(module))
    assert verdict.files > 3
    assert verdict.used == 50
    assert opened(module, tmp_path).counters.rows() == (("nine b", 50, "2026-11-23", 50),)
