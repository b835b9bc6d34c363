"""Uses under a policy: who is let, how often, when, with whose approval; all of it recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hsm_stub.audit import AuditLog
from hsm_stub.audit_check import read_audit
from hsm_stub.audit_record import What
from hsm_stub.client import commands as c
from hsm_stub.desk import APPROVAL_LIFETIME_MS, Caller, Desk
from hsm_stub.errors import CommandRefused
from hsm_stub.policy import policy_sha256
from hsm_stub.security_module import SecurityModule
from tests.hsm_stub.examples import GUID, certificate_command
from tests.hsm_stub.running import NOW_MS

DAY_MS = 86_400_000
POLICY = """
name = "office"
time_zone = "Europe/Moscow"
[clients.centre]
user = "spk"
[clients.station-1]
user = "s1"
[clients.officer]
user = "officer"
[[rule]]
name = "receipts"
clients = ["centre"]
commands = ["sign_receipt_block", "derive_terminal_key"]
[[rule]]
name = "nine b"
clients = ["station-1"]
commands = ["derive_card_admin_key"]
per_day_max = 2
total_max = 3
[[rule]]
name = "certificates"
clients = ["station-1"]
commands = ["issue_card_certificate"]
hours = "08:00-20:00"
weekdays = ["mon", "tue", "wed", "thu", "fri"]
[[rule]]
name = "stop-list"
clients = ["centre", "officer"]
commands = ["sign_statement"]
purposes = ["stop-list"]
approvals = 1
[[rule]]
name = "approving"
clients = ["*"]
commands = ["approve"]
[[rule]]
name = "policy"
clients = ["officer"]
commands = ["install_policy"]
"""
EXPORT = c.DeriveCardAdminKey(card_guid=GUID, version=1)
BLOCK = c.SignReceiptBlock(lane=1, block=2, leaf_count=3, signed_at_ms=4, root=bytes(32))
STOP_LIST = c.SignStatement(domain="stop-list", document_sha256=bytes(32))
CENTRE, STATION, OFFICER = (Caller(name) for name in ("centre", "station-1", "officer"))


class WallClock:
    """Monday noon in Moscow, until it is moved."""

    def __init__(self) -> None:
        self.now_ms = 1_795_424_400_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def wall() -> WallClock:
    return WallClock()


class Office:
    """A desk whose service may be ended and begun again over the same audit."""

    def __init__(self, module: SecurityModule, folder: Path, wall: WallClock) -> None:
        self.module, self.folder, self.wall = module, folder, wall
        self.installed: list[str] = []
        self.desk = self.opened()

    def opened(self) -> Desk:
        audit = AuditLog(self.folder, self.module, self.wall, policy_sha256(POLICY))
        return Desk(self.module, POLICY, audit, self.wall, self.installed.append)

    def begun_again(self) -> None:
        self.desk._audit.close()
        self.desk = self.opened()

    def refusal(self, caller: Caller, command: c.Command) -> c.Refusal | None:
        try:
            self.desk.execute(caller, command)
        except CommandRefused as refused:
            return refused.code
        return None

    def told(self, what: What) -> list[tuple[str, str, str, int]]:
        return [
            (one.client, one.command, one.code, one.count)
            for _, _, one in read_audit(self.folder)
            if one.what is what
        ]


@pytest.fixture
def office(module: SecurityModule, tmp_path: Path, wall: WallClock) -> Iterator[Office]:
    office = Office(module, tmp_path / "audit", wall)
    yield office
    office.desk._audit.close()


def test_what_no_rule_allows_is_refused_and_recorded(office: Office) -> None:
    assert office.refusal(CENTRE, EXPORT) is c.Refusal.NOT_ALLOWED
    assert office.refusal(STATION, BLOCK) is c.Refusal.NOT_ALLOWED
    assert office.refusal(CENTRE, c.Ping()) is None
    assert office.told(What.REFUSED) == [
        ("centre", "derive_card_admin_key", "not_allowed", 0),
        ("station-1", "sign_receipt_block", "not_allowed", 0),
    ]


def test_counts_of_a_day_and_in_all_outlive_the_service(office: Office, wall: WallClock) -> None:
    limit = c.Refusal.LIMIT_REACHED
    assert [office.refusal(STATION, EXPORT) for _ in range(3)] == [None, None, limit]
    office.begun_again()
    assert office.refusal(STATION, EXPORT) is limit
    wall.now_ms += DAY_MS
    assert [office.refusal(STATION, EXPORT) for _ in range(2)] == [None, limit]
    office.begun_again()
    wall.now_ms += DAY_MS
    assert office.refusal(STATION, EXPORT) is limit
    assert office.desk.counters.total("nine b") == 3


@pytest.mark.parametrize(
    ("hours_later", "expected"),
    [(0, None), (7.99, None), (8, c.Refusal.NOT_ALLOWED), (24 * 5, c.Refusal.NOT_ALLOWED)],
)
def test_hours_and_weekdays(
    office: Office, wall: WallClock, hours_later: float, expected: c.Refusal | None
) -> None:
    wall.now_ms += int(hours_later * 3_600_000)
    command = certificate_command(c.CertificateSlot.AUTHENTICATION, not_before_ms=NOW_MS)
    assert office.refusal(STATION, command) is expected


def approval_id(office: Office) -> bytes:
    answer = office.desk.execute(CENTRE, c.GetApprovals())
    assert isinstance(answer, c.Approvals)
    (pending,) = answer.pending
    assert (pending.client, pending.command) == ("centre", "sign_statement")
    return pending.approval_id


def test_another_must_approve_and_once_is_good_for_once(office: Office) -> None:
    assert office.refusal(CENTRE, STOP_LIST) is c.Refusal.APPROVAL_NEEDED
    approve = c.Approve(approval_id=approval_id(office))
    assert office.refusal(CENTRE, approve) is c.Refusal.NOT_ALLOWED
    assert office.refusal(CENTRE, STOP_LIST) is c.Refusal.APPROVAL_NEEDED
    assert office.refusal(OFFICER, approve) is None
    # Who approved approved this document of this client, no other.
    other = c.SignStatement(domain="stop-list", document_sha256=b"x" * 32)
    assert office.refusal(CENTRE, other) is c.Refusal.APPROVAL_NEEDED
    assert office.refusal(OFFICER, STOP_LIST) is c.Refusal.APPROVAL_NEEDED
    assert office.refusal(CENTRE, STOP_LIST) is None
    assert office.refusal(CENTRE, STOP_LIST) is c.Refusal.APPROVAL_NEEDED


def test_approvals_expire(office: Office, wall: WallClock) -> None:
    office.refusal(CENTRE, STOP_LIST)
    approve = c.Approve(approval_id=approval_id(office))
    wall.now_ms += APPROVAL_LIFETIME_MS
    assert office.refusal(OFFICER, approve) is c.Refusal.HANDLE_UNKNOWN


def test_a_policy_is_put_into_force_at_once(office: Office) -> None:
    text = POLICY.replace("total_max = 3", "total_max = 0").replace('"office"', '"new office"')
    assert office.refusal(STATION, c.InstallPolicy(text=text)) is c.Refusal.NOT_ALLOWED
    assert office.refusal(OFFICER, c.InstallPolicy(text="rule = 1")) is c.Refusal.BAD_ARGUMENT
    assert office.refusal(OFFICER, c.InstallPolicy(text=text)) is None
    assert office.installed == [text]
    assert office.refusal(STATION, EXPORT) is c.Refusal.LIMIT_REACHED
    status = office.desk.execute(CENTRE, c.GetStatus())
    assert isinstance(status, c.Status)
    assert status.policy == "new office"
    assert len(office.told(What.POLICY)) == 1


def test_frequent_uses_are_told_together(office: Office, wall: WallClock) -> None:
    for _ in range(5):
        office.desk.execute(CENTRE, BLOCK)
    wall.now_ms += 1_000
    office.desk.tick()
    for _ in range(3):
        office.desk.execute(CENTRE, BLOCK)
    office.begun_again()
    assert office.told(What.SUMMED) == [
        ("centre", "sign_receipt_block", "", 5),
        ("centre", "sign_receipt_block", "", 3),
    ]
    assert len(office.told(What.BEGUN)) == 2
    assert office.desk.counters.total("receipts") == 8


def test_no_use_without_its_record(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("hsm_stub.audit.os.write", full)
        assert office.refusal(STATION, EXPORT) is c.Refusal.AUDIT_AWAY
        assert office.refusal(CENTRE, BLOCK) is c.Refusal.AUDIT_AWAY
    assert office.refusal(CENTRE, BLOCK) is None
