"""The policy: what it says of a use, and what is wrong with one that is not sound."""

from __future__ import annotations

from datetime import datetime

import pytest

from hsm_stub.client import commands as c
from hsm_stub.errors import PolicyError
from hsm_stub.policy import TRIAL_POLICY, Rule, read_policy
from hsm_stub.uses import use_of
from tests.hsm_stub.examples import GUID

EXPORT = c.DeriveCardAdminKey(card_guid=GUID, version=1)
SIGN = c.SignStatement(domain="stop-list", document_sha256=bytes(32))
HEAD = 'name = "office"\n[clients.centre]\nuser = "spk"\n[clients.station-1]\nuser = "s1"\n'


def rule(**more: object) -> Rule:
    fields: dict[str, object] = {"name": "r", "clients": ("a",), "commands": ("*",)}
    return Rule(**(fields | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "client", "command", "fits"),
    [
        ({}, "a", EXPORT, True),
        ({}, "b", EXPORT, False),
        ({"clients": ("*",)}, "b", EXPORT, True),
        ({"commands": ("derive_card_admin_key",)}, "a", EXPORT, True),
        ({"commands": ("sign_statement",)}, "a", EXPORT, False),
        ({"keys": ("card master",)}, "a", EXPORT, True),
        ({"keys": ("issuing CA", "terminal master")}, "a", EXPORT, False),
        ({"purposes": ("passport",)}, "a", SIGN, False),
        ({"purposes": ("passport", "stop-list")}, "a", SIGN, True),
        ({"purposes": ("passport",)}, "a", EXPORT, True),
    ],
)
def test_which_uses_a_rule_speaks_of(
    given: dict[str, object], client: str, command: c.Command, fits: bool
) -> None:
    use = use_of(command)
    assert use is not None
    assert rule(**given).fits(client, use) is fits


MONDAY = datetime(2026, 11, 23, 10, 0)  # noqa: DTZ001 - the policy's own local time


@pytest.mark.parametrize(
    ("given", "at", "holds"),
    [
        ({}, MONDAY, True),
        ({"hours": "08:00-20:00"}, MONDAY, True),
        ({"hours": "08:00-10:00"}, MONDAY, False),
        ({"hours": "10:00-10:01"}, MONDAY, True),
        ({"hours": "22:00-06:00"}, MONDAY.replace(hour=23), True),
        ({"hours": "22:00-06:00"}, MONDAY.replace(hour=5), True),
        ({"hours": "22:00-06:00"}, MONDAY.replace(hour=6), False),
        ({"weekdays": ("mon", "tue")}, MONDAY, True),
        ({"weekdays": ("sat", "sun")}, MONDAY, False),
        ({"valid_from": MONDAY.date()}, MONDAY, True),
        ({"valid_to": MONDAY.date()}, MONDAY, True),
        ({"valid_from": MONDAY.replace(day=24).date()}, MONDAY, False),
        ({"valid_to": MONDAY.replace(day=22).date()}, MONDAY, False),
    ],
)
def test_when_a_rule_holds(given: dict[str, object], at: datetime, holds: bool) -> None:
    assert rule(**given).holds_at(at) is holds


RULE = '[[rule]]\nname = "r"\nclients = ["centre"]\ncommands = ["*"]\n'
UNSOUND = [
    ("name = ", "no TOML"),
    ('name = "x"', "missing required field `rule`"),
    (HEAD + RULE + "per_week_max = 3", "unknown field `per_week_max`"),
    (HEAD + RULE.replace('"centre"', '"stranger"'), "rule 'r': there is no client 'stranger'"),
    (HEAD + RULE.replace('["*"]', '["sign_all"]'), "rule 'r': there is no command 'sign_all'"),
    (HEAD + RULE + 'keys = ["root"]', "rule 'r': there is no key 'root'"),
    (HEAD + RULE + 'weekdays = ["monday"]', "rule 'r': there is no weekday 'monday'"),
    (HEAD + RULE + 'hours = "8-20"', "hours"),
    (HEAD + RULE + 'hours = "08:00-08:00"', "two different times"),
    (HEAD + RULE + "valid_from = 2026-02-02\nvalid_to = 2026-01-01", "it would never hold"),
    (HEAD + RULE + "approvals = 2", "need more clients than are named"),
    (HEAD + RULE + "total_max = -1", "total_max"),
    (HEAD + RULE + RULE, "rule 'r': there are two"),
    ('name = "x"\ntime_zone = "Europe/Moskva"\n' + RULE, "time_zone: there is no 'Europe/Moskva'"),
    ('name = "x"\n[clients.a]\n' + RULE.replace("centre", "a"), "either user or token_key"),
    ("x" * 40_000, "over 32768 characters"),
]


@pytest.mark.parametrize(("text", "message"), UNSOUND)
def test_an_unsound_policy_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        read_policy(text)


def test_the_policy_of_a_trial_lets_everybody_in() -> None:
    policy = read_policy(TRIAL_POLICY)
    use = use_of(EXPORT)
    assert use is not None
    assert [found.unlimited for found in policy.rules_for("anybody", use)] == [True]
