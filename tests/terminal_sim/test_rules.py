"""The terminal's signed rules: what is believed, what is kept, what is rung up by them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from processing.wire.parameter_file import ParameterFile
from processing.wire.rules_file import Rules, SignedRules
from processing.wire.statement import Domain
from terminal_sim.errors import TerminalError
from terminal_sim.rules import RULES_NAME, RulesShelf, rules_fetcher
from tests.plugins.stop_lists import PUBLIC_KEY, signature_of
from tests.terminal_sim import world

PARAMETERS = world.parameters(content_keys=(PUBLIC_KEY,))


def rules_of(version: int, issued_at_ms: int = 1, terminal_id: str | None = None) -> Rules:
    """Return rules in which every service has that version."""
    return Rules(
        terminal_id=terminal_id or PARAMETERS.terminal_id,
        issued_at_ms=issued_at_ms,
        use_minutes=72 * 60,
        services=tuple(msgspec.structs.replace(s, version=version) for s in PARAMETERS.services),
        items=PARAMETERS.items,
    )


def signed(rules: Rules, domain: Domain = Domain.PARAMETER_FILE) -> bytes:
    key_id, signature = signature_of(rules.document, domain)
    return SignedRules(document=rules.document, key_id=key_id, signature=signature).encode()


def versions(parameters: ParameterFile) -> set[int]:
    return {service.version for service in parameters.services}


def test_new_rules_take_the_place_of_the_parameter_files(tmp_path: Path) -> None:
    shelf = RulesShelf(tmp_path, PARAMETERS)
    assert shelf.parameters(world.NOW_MS) == PARAMETERS
    assert shelf.renew(lambda _: signed(rules_of(7)))
    assert versions(RulesShelf(tmp_path, PARAMETERS).parameters(world.NOW_MS)) == {7}
    assert not shelf.renew(lambda _: None)
    # An older issue that somebody kept is not taken, and the same one changes nothing.
    assert shelf.renew(lambda _: signed(rules_of(8, issued_at_ms=5)))
    assert not shelf.renew(lambda _: signed(rules_of(7)))
    assert versions(shelf.parameters(world.NOW_MS)) == {8}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"{}", "not a file of rules"),
        (b"\xff", "not a file of rules"),
        (signed(rules_of(9)).replace(b'"key_id":"', b'"key_id":"AA'), "not"),
        (signed(rules_of(9), Domain.STOP_LIST), "not signed by a key"),
        (signed(rules_of(9, terminal_id="X9999999")), "of terminal X9999999"),
        (signed(msgspec.structs.replace(rules_of(9), version=2)), "version 1"),
        (signed(msgspec.structs.replace(rules_of(9), use_minutes=0)), "use_minutes"),
    ],
)
def test_what_is_not_believed_costs_nothing(tmp_path: Path, data: bytes, told: str) -> None:
    shelf = RulesShelf(tmp_path, PARAMETERS)
    shelf.renew(lambda _: signed(rules_of(7)))
    with pytest.raises(TerminalError, match=told):
        shelf.renew(lambda _: data)
    assert versions(shelf.parameters(world.NOW_MS)) == {7}


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / RULES_NAME).write_bytes(signed(rules_of(7))[:-9])
    assert RulesShelf(tmp_path, PARAMETERS).parameters(world.NOW_MS) == PARAMETERS


def test_a_terminal_goes_over_to_the_next_version_by_itself(tmp_path: Path) -> None:
    shelf = RulesShelf(tmp_path, PARAMETERS)
    next_day = world.TODAY + timedelta(days=1)
    coming = tuple(
        msgspec.structs.replace(world.SERVICES[0], version=9 + days, valid_from=next_day)
        for days in (0, 1)
    )
    rules = msgspec.structs.replace(rules_of(7), coming=coming)
    assert rules.mark != rules_of(7).mark
    shelf.renew(lambda _: signed(rules))
    assert versions(shelf.parameters(NOW_MS)) == {7}
    assert [one.version for one in shelf.coming(NOW_MS)] == [9, 10]
    tomorrow_ms = NOW_MS + 24 * HOUR_MS
    assert versions(shelf.parameters(tomorrow_ms)) == {7, 10}
    assert len(shelf.parameters(tomorrow_ms).services) == len(PARAMETERS.services)
    assert shelf.coming(tomorrow_ms) == ()


NOW_MS = world.NOW_MS
HOUR_MS = 60 * 60_000


@pytest.mark.parametrize(
    ("own", "told", "age_hours", "behind"),
    [
        (7, 7, 1, False),
        (7, 8, 1, True),
        # An issue of 72 hours is renewed a day before its use ends.
        (7, 7, 48, False),
        (7, 7, 49, True),
        # Without a file the parameter file's rules may be in force, but have no age.
        (None, 7, 1, True),
        # A centre that tells no mark is an older one.
        (7, None, 70, False),
    ],
)
def test_when_a_terminal_fetches(
    tmp_path: Path, own: int | None, told: int | None, age_hours: int, behind: bool
) -> None:
    shelf = RulesShelf(tmp_path, PARAMETERS)
    if own is not None:
        issued_at_ms = NOW_MS - age_hours * HOUR_MS
        shelf.renew(lambda _: signed(rules_of(own, issued_at_ms=issued_at_ms)))
        assert shelf.usable_until_ms == issued_at_ms + 72 * HOUR_MS
    mark = "" if told is None else rules_of(told, issued_at_ms=5).mark
    assert shelf.behind(mark, NOW_MS) is behind


def test_the_tag_of_the_file_at_hand_goes_with_the_question(tmp_path: Path) -> None:
    shelf, asked = RulesShelf(tmp_path, PARAMETERS), []

    def fetch(tag: str | None) -> bytes | None:
        asked.append(tag)
        return signed(rules_of(7)) if tag is None else None

    assert shelf.renew(fetch)
    assert not shelf.renew(fetch)
    assert asked == [None, SignedRules.decode(signed(rules_of(7))).tag]


def test_rules_are_fetched_over_http_only() -> None:
    with pytest.raises(TerminalError, match="nothing says where"):
        rules_fetcher(PARAMETERS, "file:///etc")
