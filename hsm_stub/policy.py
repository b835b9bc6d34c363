"""The policy of the keys: who may ask what of which key, how often, and when (docs/keys.md).

A TOML document, read strictly: an unknown field, client, command or key is an error that names its
rule. What no rule allows is refused.
"""

from __future__ import annotations

import hashlib
import tomllib
from datetime import date, datetime, time
from enum import IntEnum
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from hsm_stub.client.commands import POLICY_CHARS_MAX
from hsm_stub.errors import PolicyError
from hsm_stub.uses import COMMAND_NAMES, KEY_TEXTS, Use

RULES_MAX: Final = 256
CLIENTS_MAX: Final = 256
ANY: Final = "*"

TRIAL_POLICY: Final = """\
# The policy of a trial: whoever may open the socket may ask for everything.
name = "trial"

[[rule]]
name = "everything"
clients = ["*"]
commands = ["*"]
"""

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9 -]{0,31}\Z")]
ClientName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z")]
Count = Annotated[int, Meta(ge=0)]


class Weekday(IntEnum):
    """Days of the week, as `date.weekday` counts them."""

    MON = 0
    TUE = 1
    WED = 2
    THU = 3
    FRI = 4
    SAT = 5
    SUN = 6


class Client(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a client is known: by the account behind its unix socket, or by its token.

    `token_key` is SHA-256 of the token with a prefix (64 hexadecimal digits); whoever has it can
    be that client, so the policy's file is for its owner alone.
    """

    user: str = ""
    token_key: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One permission. Hours are of the policy's time zone; a limit left out is none."""

    name: Name
    clients: Annotated[tuple[str, ...], Meta(min_length=1)]
    commands: Annotated[tuple[str, ...], Meta(min_length=1)]
    keys: Annotated[tuple[str, ...], Meta(min_length=1)] = (ANY,)
    purposes: Annotated[tuple[str, ...], Meta(min_length=1)] = (ANY,)
    per_day_max: Count | None = None
    total_max: Count | None = None
    hours: Annotated[str, Meta(pattern=r"^([0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9])?\Z")] = ""
    weekdays: tuple[str, ...] = ()
    valid_from: date | None = None
    valid_to: date | None = None
    approvals: Annotated[int, Meta(ge=0, le=5)] = 0

    @property
    def unlimited(self) -> bool:
        """Return whether neither the clock nor a count matters."""
        return not (self.timed or self.counted or self.approvals)

    @property
    def counted(self) -> bool:
        """Return whether uses are counted against a limit."""
        return self.per_day_max is not None or self.total_max is not None

    @property
    def timed(self) -> bool:
        """Return whether the rule holds at some times only."""
        return bool(self.hours or self.weekdays or self.valid_from or self.valid_to)

    def fits(self, client: str, use: Use) -> bool:
        """Return whether the rule speaks of this client, command, key and purpose."""
        return (
            _among(client, self.clients)
            and _among(use.command, self.commands)
            and _among(use.key, self.keys)
            and (not use.purpose or _among(use.purpose, self.purposes))
        )

    def holds_at(self, now: datetime) -> bool:
        """Return whether the rule holds at a local time."""
        day = now.date()
        if (self.valid_from and day < self.valid_from) or (self.valid_to and day > self.valid_to):
            return False
        if self.weekdays and Weekday(day.weekday()).name.lower() not in self.weekdays:
            return False
        if not self.hours:
            return True
        begin, end = (time.fromisoformat(text) for text in self.hours.split("-"))
        at = now.time()
        # Hours may go past midnight.
        return begin <= at < end if begin < end else at >= begin or at < end

    def when(self) -> str:
        """Return in words when the rule holds."""
        span = [f"from {self.valid_from}" if self.valid_from else ""]
        span += [f"to {self.valid_to}" if self.valid_to else "", " ".join(self.weekdays)]
        return " ".join(part for part in (*span, self.hours) if part) or "always"


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole policy, checked (`read_policy`)."""

    name: Name
    rule: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=RULES_MAX)]
    version: Literal[1] = 1
    time_zone: str = "UTC"
    clients: dict[ClientName, Client] = msgspec.field(default_factory=dict)

    def rules_for(self, client: str, use: Use) -> tuple[Rule, ...]:
        """Return the rules that speak of this use, in their order."""
        return tuple(rule for rule in self.rule if rule.fits(client, use))

    def client_of_user(self, user: str) -> str | None:
        """Return the client known by this account."""
        return next((name for name, one in self.clients.items() if one.user == user), None)


def read_policy(text: str) -> Policy:
    """Return the policy in `text`; raises `PolicyError` that names the line or the rule."""
    if len(text) > POLICY_CHARS_MAX:
        raise PolicyError(f"the policy has over {POLICY_CHARS_MAX} characters")
    try:
        policy = msgspec.convert(tomllib.loads(text), Policy)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"the policy is no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise PolicyError(f"the policy is not sound: {error}") from None
    if faults := _faults(policy):
        raise PolicyError(f"the policy is not sound: {'; '.join(faults)}")
    return policy


def policy_sha256(text: str) -> bytes:
    """Return what identifies a policy."""
    return hashlib.sha256(text.encode()).digest()


def _faults(policy: Policy) -> list[str]:
    """Return all that is wrong between the fields of a policy, each naming its place."""
    faults = []
    try:
        ZoneInfo(policy.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        faults.append(f"time_zone: there is no {policy.time_zone!r}")
    if len(policy.clients) > CLIENTS_MAX:
        faults.append(f"clients: over {CLIENTS_MAX}")
    for name, client in policy.clients.items():
        if bool(client.user) == bool(client.token_key):
            faults.append(f"clients.{name}: give either user or token_key")
    names = [rule.name for rule in policy.rule]
    faults += [f"rule {name!r}: there are two" for name in set(names) if names.count(name) > 1]
    for rule in policy.rule:
        faults += [f"rule {rule.name!r}: {fault}" for fault in _rule_faults(rule, policy)]
    return faults


def _rule_faults(rule: Rule, policy: Policy) -> list[str]:
    days = tuple(day.name.lower() for day in Weekday)
    faults = [
        f"there is no {what} {name!r}"
        for what, given, known in (
            ("client", rule.clients, tuple(policy.clients)),
            ("command", rule.commands, COMMAND_NAMES),
            ("key", rule.keys, KEY_TEXTS),
            ("weekday", rule.weekdays, days),
        )
        for name in given
        if name not in {ANY, *known} or (what == "weekday" and name == ANY)
    ]
    # Without named clients anybody who connects may take any name.
    if rule.valid_from and rule.valid_to and rule.valid_to < rule.valid_from:
        faults.append("valid_to lies before valid_from: it would never hold")
    if rule.hours:
        begin, end = rule.hours.split("-")
        if begin == end or end > "24:00" or begin >= "24:00":
            faults.append(f"hours {rule.hours}: give two different times up to 23:59")
    if rule.approvals and rule.approvals >= len(policy.clients):
        faults.append(f"approvals {rule.approvals} need more clients than are named")
    return faults


def _among(name: str, names: tuple[str, ...]) -> bool:
    return ANY in names or name in names
