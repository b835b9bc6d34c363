"""What is rung up: words to lines, and for whom."""

from __future__ import annotations

from datetime import date

import pytest

from processing.wire.transaction import Line, MessageClass, Right, TransactionKey
from terminal_sim.errors import TerminalError
from terminal_sim.order import (
    Holding,
    OrderError,
    holding_for,
    known_service,
    named_holder,
    parse_order,
    parse_quoted,
)
from terminal_sim.state import quoted
from tests.terminal_sim import world
from tests.terminal_sim.world import CHILD, FAMILY_RIGHTS, HOUSEHOLD, MOTHER, right

PARAMETERS = world.parameters()

WORDS = [
    ("ENALAPRIL-10-20=2@145.50", Line("ENALAPRIL-10-20", 2, 778, 0, 29_100)),
    ("enalapril-10-20=2@145,5", Line("ENALAPRIL-10-20", 2, 778, 0, 29_100)),
    ("WATER.COLD=12.5@48.20", Line("WATER.COLD", 12_500, 113, 3, 60_250)),
    ("WATER.COLD=0.001@48.20", Line("WATER.COLD", 1, 113, 3, 5)),
    ("B01.047.001", Line("B01.047.001", 1, 642, 0, 0)),
    ("METFORMIN-850-60@289.90", Line("METFORMIN-850-60", 1, 778, 0, 28_990)),
]


@pytest.mark.parametrize(("word", "line"), WORDS)
def test_words_become_lines(word: str, line: Line) -> None:
    assert parse_order([word], PARAMETERS) == (line,)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "nothing is rung up"),
        (["ENALAPRIL-10-20"] * 29, "at most 28"),
        (["ENALAPRIL"], "Similar: ENALAPRIL-10-20"),
        (["ASPIRIN=1"], "no item"),
        (["ENALAPRIL-10-20=1.5@1"], "more decimals"),
        (["ENALAPRIL-10-20=0@1"], "above zero"),
        (["ENALAPRIL-10-20=1@-5"], "no number"),
        (["ENALAPRIL-10-20=1=2"], "cannot be read"),
        (["=1@2"], "cannot be read"),
        (["ENALAPRIL-10-20@"], "cannot be read"),
    ],
)
def test_what_cannot_be_rung_up_is_told(words: list[str], told: str) -> None:
    with pytest.raises(TerminalError, match=told) as caught:
        parse_order(words, PARAMETERS)
    assert caught.value.text("ru") != caught.value.text("en")


ENALAPRIL, METFORMIN, WATER = (WORDS[i][1] for i in (0, 5, 2))
BOTH_ENALAPRIL = (*FAMILY_RIGHTS, right(CHILD, "MEDICINE", "ENALAPRIL", 1))
ONE_HOLDER = (right(MOTHER, "OMS.VISIT", "OMS.VISIT", 5),)

HELD: list[tuple[str, tuple[Line, ...], str, tuple[Right, ...], Holding]] = [
    ("the mother's own", (ENALAPRIL,), "MEDICINE", FAMILY_RIGHTS, Holding(MOTHER, 1)),
    ("the child's", (METFORMIN,), "MEDICINE", FAMILY_RIGHTS, Holding(CHILD, 1)),
    ("the household's", (WATER,), "UTILITY", FAMILY_RIGHTS, Holding(HOUSEHOLD, 2)),
    ("who has it all", (ENALAPRIL, METFORMIN), "MEDICINE", BOTH_ENALAPRIL, Holding(CHILD, 1)),
    ("one holder, no right", (ENALAPRIL,), "MEDICINE", ONE_HOLDER, Holding(MOTHER, 0)),
    ("several, none fits", (WATER,), "MEDICINE", FAMILY_RIGHTS, Holding(None, 1)),
    ("no rights at all", (ENALAPRIL,), "MEDICINE", (), Holding(None, 0)),
]


@pytest.mark.parametrize(
    ("lines", "service", "rights", "holding"), [h[1:] for h in HELD], ids=[h[0] for h in HELD]
)
def test_for_whom(
    lines: tuple[Line, ...], service: str, rights: tuple[Right, ...], holding: Holding
) -> None:
    assert holding_for(lines, service, rights, PARAMETERS) == holding


@pytest.mark.parametrize(
    ("lines", "rights"),
    [((ENALAPRIL,), BOTH_ENALAPRIL), ((ENALAPRIL, METFORMIN), FAMILY_RIGHTS)],
)
def test_where_several_fit_one_must_be_named(
    lines: tuple[Line, ...], rights: tuple[Right, ...]
) -> None:
    with pytest.raises(OrderError, match="--for") as caught:
        holding_for(lines, "MEDICINE", rights, PARAMETERS)
    assert "0000a1" in str(caught.value)
    assert "0000c3" in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "holder"),
    [
        ("a1", MOTHER),
        ("0000C3", CHILD),
        ("0195a1b2-0000-7000-8000-0000000000b2", HOUSEHOLD),
        ("0195a1b2-0000-7000-8000-0000000000ff", MOTHER[:15] + b"\xff"),
    ],
)
def test_holders_by_name(wanted: str, holder: bytes) -> None:
    assert named_holder(wanted, FAMILY_RIGHTS) == holder


@pytest.mark.parametrize("wanted", ["", "0", "zz", "a" * 31, "z" * 32, "-"])
def test_names_that_fit_nobody(wanted: str) -> None:
    with pytest.raises(OrderError, match="0000a1, 0000c3, 0000b2"):
        named_holder(wanted, FAMILY_RIGHTS)


def test_services_by_name() -> None:
    assert known_service("medicine", PARAMETERS).service == "MEDICINE"
    with pytest.raises(OrderError, match=r"MEDICINE, OMS\.VISIT"):
        known_service("HAIRCUT", PARAMETERS)


@pytest.mark.parametrize("text", ["20260305-AP000001-000012", "2026-03-05-ap000001-12"])
def test_quoting_a_transaction(text: str) -> None:
    key = parse_quoted(text)
    assert key == TransactionKey(date(2026, 3, 5), "AP000001", 12, MessageClass.FINANCIAL)
    assert quoted(key) == "20260305-AP000001-000012"


@pytest.mark.parametrize("text", ["", "12", "20260230-AP000001-1", "20260305-AP1-1", "x" * 40])
def test_what_quotes_no_transaction(text: str) -> None:
    with pytest.raises(OrderError, match="DATE-TERMINAL-STAN"):
        parse_quoted(text)
