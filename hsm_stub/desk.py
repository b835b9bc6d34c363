"""Between the socket and the keys: asks the policy, counts, has uses approved, writes the audit.

The answer of a use leaves only after its record was written. What the policy refuses is recorded
too. One thread calls a `Desk`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from hsm_stub.audit import AuditLog
from hsm_stub.audit_record import Counters
from hsm_stub.client import commands as c
from hsm_stub.errors import AuditError, CommandRefused, PolicyError
from hsm_stub.policy import Policy, Rule, policy_sha256, read_policy
from hsm_stub.security_module import SecurityModule
from hsm_stub.uses import Use, command_facts, use_of

APPROVALS_PENDING_MAX: Final = 64
APPROVAL_LIFETIME_MS: Final = 600_000
"""How long a command waits for its approval, and an approved one to be asked again."""
RULES_KNOWN_MAX: Final = 4_096
"""Most pairs of client and use whose rules are kept at hand; then they are looked up anew."""


class Caller(msgspec.Struct, frozen=True):
    """Who asks: the client's name, and the account behind its unix socket (-1: not known)."""

    client: str
    uid: int = -1


class _Pending(msgspec.Struct):
    """A command that waits for others than its asker."""

    shown: c.PendingApproval
    expires_ms: int
    approved_by: set[str]
    needed: int


class Desk:
    """A `SecurityModule` behind its policy and its audit.

    `utc_ms` is the wall clock. `install` keeps a new policy's text; `reload` reads the keys anew
    and returns a module that uses them; without it keys cannot be reloaded.
    """

    def __init__(
        self,
        module: SecurityModule,
        policy_text: str,
        audit: AuditLog,
        utc_ms: Callable[[], int],
        install: Callable[[str], None] | None = None,
        reload: Callable[[], SecurityModule] | None = None,
    ) -> None:
        self._module = module
        self._audit = audit
        self._utc_ms = utc_ms
        self._install = install
        self._reload = reload
        self._pending: dict[bytes, _Pending] = {}
        self._take_policy(policy_text)

    @property
    def policy(self) -> Policy:
        """Return the policy in force."""
        return self._policy

    @property
    def counters(self) -> Counters:
        """Return how often each rule was used."""
        return self._audit.counters

    def execute(self, caller: Caller, command: c.Command, connections: int = 0) -> c.Answer:
        """Return the answer to `command`; raises `CommandRefused`, other errors are faults."""
        if isinstance(command, c.GetStatus):
            return self._status(connections)
        if isinstance(command, c.GetApprovals):
            return self._approvals()
        if (use := use_of(command)) is None:
            return self._module.execute(command, connections)
        facts = command_facts(command)
        try:
            rule = self._allowed(caller, use, command)
            answer = self._carry_out(caller, command)
        except CommandRefused as refused:
            with self._recording():
                self._audit.refused(caller.client, caller.uid, use, refused.code.value, facts)
            raise
        day = self._local_now().date().isoformat() if rule.per_day_max is not None else ""
        with self._recording():
            self._audit.used(caller.client, caller.uid, use, rule.name, day, facts)
        return answer

    def tick(self) -> None:
        """Close what is due: once a second. Raises `AuditError`."""
        self._audit.tick()

    def sync(self) -> None:
        """Bring the audit to the disk; may be called in another thread."""
        self._audit.sync()

    def close(self) -> None:
        """Seal and close the audit, close the module."""
        try:
            self._audit.close()
        finally:
            self._module.close()

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Write a record; where that fails, nobody gets the answer."""
        try:
            yield
        except AuditError as error:
            raise CommandRefused(
                c.Refusal.AUDIT_AWAY, f"the use cannot be recorded ({error}); try later"
            ) from None

    def _allowed(self, caller: Caller, use: Use, command: c.Command) -> Rule:
        """Return the first rule that lets this happen now; raises `CommandRefused`."""
        known = (caller.client, use.command, use.key, use.purpose)
        rules = self._rules.get(known)
        if rules is None:
            if len(self._rules) >= RULES_KNOWN_MAX:
                self._rules.clear()
            rules = self._rules[known] = self._policy.rules_for(caller.client, use)
        if rules and rules[0].unlimited:
            return rules[0]
        what = f"{use.command} with the {use.key} key"
        if not rules:
            raise CommandRefused(
                c.Refusal.NOT_ALLOWED, f"the policy does not let {caller.client} {what}"
            )
        now = self._local_now()
        timely = [rule for rule in rules if not rule.timed or rule.holds_at(now)]
        if not timely:
            when = " or ".join(rule.when() for rule in rules)
            raise CommandRefused(
                c.Refusal.NOT_ALLOWED, f"{caller.client} may {what} {when} only, now it is {now:%c}"
            )
        day = now.date().isoformat()
        for rule in timely:
            if self._audit.counters.has_room(rule, day):
                self._require_approval(caller, use, command, rule)
                return rule
        limits = " or ".join(f"{r.per_day_max} a day, {r.total_max} in all" for r in timely)
        raise CommandRefused(
            c.Refusal.LIMIT_REACHED,
            f"{caller.client} may {what} no more: {limits} (None: no such limit)",
        )

    def _carry_out(self, caller: Caller, command: c.Command) -> c.Answer:
        match command:
            case c.Approve():
                return self._approve(caller, command.approval_id)
            case c.InstallPolicy():
                return self._install_policy(command.text)
            case c.ReloadKeys():
                return self._reload_keys()
            case _:
                return self._module.execute(command)

    def _require_approval(self, caller: Caller, use: Use, command: c.Command, rule: Rule) -> None:
        """Return when enough others approved this very command, which uses the approval up."""
        if not rule.approvals:
            return
        self._drop_expired()
        asked = hashlib.sha256(caller.client.encode() + b"\0" + msgspec.msgpack.encode(command))
        approval_id = asked.digest()[:16]
        pending = self._pending.get(approval_id)
        if pending is not None and len(pending.approved_by) >= pending.needed:
            del self._pending[approval_id]
            return
        if pending is None:
            if len(self._pending) >= APPROVALS_PENDING_MAX:
                raise CommandRefused(
                    c.Refusal.BUSY, f"{APPROVALS_PENDING_MAX} commands wait for approval already"
                )
            shown = c.PendingApproval(
                approval_id=approval_id,
                client=caller.client,
                command=use.command,
                key=use.key,
                facts=command_facts(command),
                approvals_missing=rule.approvals,
            )
            expires_ms = self._utc_ms() + APPROVAL_LIFETIME_MS
            self._pending[approval_id] = _Pending(shown, expires_ms, set(), rule.approvals)
        raise CommandRefused(
            c.Refusal.APPROVAL_NEEDED,
            f"{rule.approvals} others must approve this within {APPROVAL_LIFETIME_MS // 60_000} "
            f"minutes: spk hsm approve {approval_id.hex()}; then ask again",
        )

    def _approve(self, caller: Caller, approval_id: bytes) -> c.Done:
        self._drop_expired()
        pending = self._pending.get(approval_id)
        if pending is None:
            raise CommandRefused(
                c.Refusal.HANDLE_UNKNOWN, "nothing waits under this number, or no longer"
            )
        if pending.shown.client == caller.client:
            raise CommandRefused(c.Refusal.NOT_ALLOWED, "who asked cannot approve; another must")
        pending.approved_by.add(caller.client)
        return c.Done()

    def _approvals(self) -> c.Approvals:
        self._drop_expired()
        return c.Approvals(
            pending=tuple(
                msgspec.structs.replace(
                    one.shown, approvals_missing=max(0, one.needed - len(one.approved_by))
                )
                for one in self._pending.values()
            )
        )

    def _install_policy(self, text: str) -> c.Done:
        try:
            read_policy(text)
        except PolicyError as error:
            raise CommandRefused(c.Refusal.BAD_ARGUMENT, str(error)) from None
        if self._install is None:
            raise CommandRefused(c.Refusal.NOT_ALLOWED, "this service keeps no policy file")
        with self._recording():
            self._audit.policy(policy_sha256(text))
        self._install(text)
        self._take_policy(text)
        return c.Done()

    def _reload_keys(self) -> c.Done:
        if self._reload is None:
            raise CommandRefused(c.Refusal.NOT_ALLOWED, "this service cannot read its keys anew")
        module = self._reload()
        module.take_over(self._module)
        self._module = module
        self._audit.signed_by(module)
        return c.Done()

    def _status(self, connections: int) -> c.Answer:
        answer = self._module.execute(c.GetStatus(), connections)
        if not isinstance(answer, c.Status):
            return answer
        return msgspec.structs.replace(
            answer,
            policy=self._policy.name,
            audit_records=self._audit.records,
            audit_head=self._audit.head,
        )

    def _take_policy(self, text: str) -> None:
        self._policy = read_policy(text)
        self._zone = ZoneInfo(self._policy.time_zone)
        self._rules: dict[tuple[str, str, str, str], tuple[Rule, ...]] = {}

    def _local_now(self) -> datetime:
        return datetime.fromtimestamp(self._utc_ms() / 1000, UTC).astimezone(self._zone)

    def _drop_expired(self) -> None:
        now_ms = self._utc_ms()
        for approval_id, one in list(self._pending.items()):
            if one.expires_ms <= now_ms:
                del self._pending[approval_id]
