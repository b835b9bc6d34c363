"""The link: lost, late, forged and broken answers, and what the terminal makes of them."""

from __future__ import annotations

import socket

import pytest

from processing.wire.digest import canonical_bytes
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import ProfileName
from processing.wire.transaction import Line, Request
from terminal_sim.errors import TerminalError
from terminal_sim.link import Link, LinkError, LinkLimits, Pursuit, pursue
from terminal_sim.terminal import Terminal, Verdict
from tests.terminal_sim import world
from tests.terminal_sim.fake_centre import Does, FakeCentre

LIMITS = LinkLimits(
    connect_timeout_ms=2_000, answer_timeout_ms=200, attempts=3, first_pause_ms=10, pause_max_ms=15
)


def ask(centre: FakeCentre, *, hex_text: bool = False) -> tuple[Pursuit, Request, list[int]]:
    """Ask for one sale; how it ended, the request, and the pauses made."""
    profile = ProfileName.HEX if hex_text else ProfileName.BINARY
    file = world.parameters(centre.port, profile=profile)
    terminal = world.terminal(file)
    request = world.sale(terminal)
    pauses: list[int] = []
    link = Link(file, lambda: world.NOW_MS, LIMITS)
    pursuit = pursue(link, terminal, request, pauses.append)
    link.close()
    return pursuit, request, pauses


# what the centre does with each attempt; messages it read; outcome believed, or None
SCRIPTS: list[tuple[tuple[Does, ...], int, Outcome | None]] = [
    ((), 1, Outcome.APPROVED),
    ((Does.DECLINE,), 1, Outcome.ALLOWANCE_EXHAUSTED),
    ((Does.STAY_SILENT,), 2, Outcome.APPROVED),
    ((Does.HANG_UP,), 2, Outcome.APPROVED),
    ((Does.SEND_HALF,), 2, Outcome.APPROVED),
    ((Does.SEND_GARBAGE,), 2, Outcome.APPROVED),
    ((Does.FRAME_GARBAGE,), 2, Outcome.APPROVED),
    ((Does.MAC_WRONGLY,), 2, Outcome.APPROVED),
    ((Does.SIGN_WRONGLY,), 2, Outcome.APPROVED),
    ((Does.DECIDE_OTHER_REQUEST,), 2, Outcome.APPROVED),
    ((Does.ANSWER_OTHER_NUMBER,), 2, Outcome.APPROVED),
    ((Does.TRY_LATER,), 2, Outcome.APPROVED),
    ((Does.TRY_LATER, Does.STAY_SILENT), 3, Outcome.APPROVED),
    ((Does.STAY_SILENT,) * 3, 3, None),
    ((Does.MAC_WRONGLY,) * 3, 3, None),
    ((Does.SIGN_WRONGLY,) * 3, 3, None),
    ((Does.TRY_LATER,) * 3, 3, None),
    ((Does.MALFORMED,), 1, None),
]


@pytest.mark.parametrize(("script", "messages", "outcome"), SCRIPTS)
@pytest.mark.parametrize("hex_text", [False, True])
def test_what_becomes_of_a_request(
    script: tuple[Does, ...], messages: int, outcome: Outcome | None, hex_text: bool
) -> None:
    profile = Profile.HEX if hex_text else Profile.BINARY
    with FakeCentre(*script, profile=profile) as centre:
        pursuit, request, pauses = ask(centre, hex_text=hex_text)
    assert len(centre.requests) == messages
    assert pursuit.attempts == messages
    assert pauses == [10, 15][: messages - 1]
    # Every attempt carries the same content; only its being a repeat differs.
    assert {canonical_bytes(one) for one in centre.requests} == {canonical_bytes(request)}
    assert {one.signature for one in centre.requests} == {request.signature}
    assert [one.repeat for one in centre.requests] == [False, True, True][:messages]
    assert pursuit.decided is (outcome is not None)
    if outcome is not None:
        assert pursuit.answer is not None
        assert pursuit.answer.outcome is outcome


# the last thing the centre did in every attempt; how the pursuit says so
LAST: list[tuple[Does, Verdict | None, str]] = [
    (Does.STAY_SILENT, None, "did not answer within 200 ms"),
    (Does.HANG_UP, None, "hung up before it answered"),
    (Does.SEND_HALF, None, "hung up before it answered"),
    (Does.SEND_GARBAGE, None, "cannot be trusted"),
    (Does.FRAME_GARBAGE, None, "cannot be trusted"),
    (Does.MAC_WRONGLY, None, "MAC"),
    (Does.ANSWER_OTHER_NUMBER, None, "another message"),
    (Does.SIGN_WRONGLY, Verdict.NOT_BELIEVED, "another key"),
    (Does.TRY_LATER, Verdict.NOT_DECIDED, ""),
]


@pytest.mark.parametrize(("does", "verdict", "words"), LAST)
def test_how_it_is_told(does: Does, verdict: Verdict | None, words: str) -> None:
    with FakeCentre(*(does,) * 3) as centre:
        pursuit, _, _ = ask(centre)
    if verdict is None:
        assert pursuit.fault is not None
        assert words in str(pursuit.fault)
        assert pursuit.fault.text("ru") != str(pursuit.fault)
    else:
        assert pursuit.judgement is not None
        assert pursuit.judgement.verdict is verdict
        doubt = pursuit.judgement.doubt
        assert words in (doubt.text("en") if doubt else "")


def test_a_closed_port_is_told_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    terminal = world.terminal(world.parameters(port))
    link = Link(terminal.parameters, lambda: world.NOW_MS, LIMITS)
    with pytest.raises(LinkError, match=f"127.0.0.1:{port}"):
        link.transact(world.sale(terminal))


def test_the_fullest_order_fits_one_message() -> None:
    with FakeCentre() as centre:
        terminal = world.terminal(world.parameters(centre.port))
        link = Link(terminal.parameters, lambda: world.NOW_MS, LIMITS)
        longest = Line("X" * 20, 10**10 - 1, 9999, 6, 10**10)
        answer = link.transact(world.sale(terminal, *(longest,) * 28))
        link.close()
    assert answer.outcome is Outcome.APPROVED
    assert [len(one.lines) for one in centre.requests] == [28]


def test_an_unsound_request_is_not_sent() -> None:
    with FakeCentre() as centre:
        terminal = world.terminal(world.parameters(centre.port))
        link = Link(terminal.parameters, lambda: world.NOW_MS, LIMITS)
        with pytest.raises(TerminalError, match="fewer lines"):
            link.transact(world.sale(terminal, *(world.TWO_PACKS,) * 29))
        link.close()
    assert centre.received == []


def test_pauses_double_up_to_their_limit() -> None:
    limits = LinkLimits(first_pause_ms=100, pause_max_ms=500)
    assert [limits.pause_ms(attempt) for attempt in (2, 3, 4, 5, 10**6)] == [
        100,
        200,
        400,
        500,
        500,
    ]


def test_one_connection_serves_many_messages() -> None:
    with FakeCentre() as centre:
        file = world.parameters(centre.port)
        terminal: Terminal = world.terminal(file)
        link = Link(file, lambda: world.NOW_MS, LIMITS)
        answers = [link.transact(world.sale(terminal)) for _ in range(3)]
        link.close()
    assert [one.outcome for one in answers] == [Outcome.APPROVED] * 3
    assert all(one.key_id == 1 for one in centre.received)
