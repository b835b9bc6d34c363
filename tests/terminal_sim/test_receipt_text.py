"""The receipt, looked at as a person would; tests/terminal_sim/receipts holds what it must be."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from processing.wire.outcome import Outcome
from processing.wire.receipt_file import ReceiptFile, ReceiptFileError
from processing.wire.transaction import Line, Request
from terminal_sim.errors import Language
from terminal_sim.link import LinkError
from terminal_sim.receipt_text import COLUMNS, receipt_text
from terminal_sim.results import Result
from terminal_sim.terminal import Doubt, Judgement, Terminal, Verdict
from tests.terminal_sim import world

EXPECTED = Path(__file__).with_name("receipts")
TWO_LINES = (
    Line("ENALAPRIL-10-20", 2, 778, 0, 29_100),
    Line("METFORMIN-850-60", 1, 778, 0, 28_990),
)
MEDICINE_LEFT = (
    world.right(world.MOTHER, "MEDICINE", "ENALAPRIL", 1),
    world.right(world.MOTHER, "MEDICINE", "METFORMIN", 0),
)


def result_of(
    terminal: Terminal, request: Request, outcome: Outcome, facts: dict[str, str] | None = None
) -> Result:
    """A judged answer; half of every line is covered."""
    answer = world.answer(request, outcome, covered=50, facts=facts, rights=MEDICINE_LEFT)
    # The fixed receipt keeps the snapshot the same: an ECDSA signature differs every time.
    if answer.receipt:
        answer = msgspec.structs.replace(answer, receipt=bytes(range(128)))
    verdict = Verdict.DECIDED if outcome.decided else Verdict.NOT_DECIDED
    return Result(request=request, answer=answer, judgement=Judgement(verdict))


def with_lines(result: Result, amounts_of: Request, covered: int = 50) -> Result:
    """A decision with the amounts of a request, of which so many per cent are covered."""
    assert result.answer is not None
    assert result.answer.decision is not None
    lines = world.decision(amounts_of, Outcome.APPROVED, covered=covered).lines
    decision = msgspec.structs.replace(result.answer.decision, lines=lines)
    answer = msgspec.structs.replace(result.answer, decision=decision)
    return msgspec.structs.replace(result, answer=answer)


def cases() -> dict[str, Result]:
    terminal = world.terminal()
    sale = world.sale(terminal, *TWO_LINES)
    water = world.sale(terminal, Line("WATER.COLD", 12_500, 113, 3, 60_253))
    short = {"item": "ENALAPRIL-10-20", "remaining": "1", "until": "2026-04-30"}
    reversal = terminal.reversal(sale, world.NOW_MS)
    lost = LinkError("Центр не ответил за 8000 мс", "the centre did not answer within 8000 ms")
    forged = Judgement(Verdict.NOT_BELIEVED, Doubt.SIGNATURE_WRONG, whole_proof=False)
    visit = world.sale(terminal, Line("B01.047.001", 1, 642, 0, 0))
    reserve = world.reserve(terminal, *TWO_LINES)
    given = (msgspec.structs.replace(TWO_LINES[0], quantity=1, gross_kopecks=14_550),)
    completion = terminal.completion(reserve, given, world.NOW_MS)
    none, pack = msgspec.structs.replace(TWO_LINES[0], quantity=0, gross_kopecks=0), TWO_LINES[1]
    returned_goods = world.goods_return(terminal, sale, none, pack)
    freed = terminal.reversal(reserve, world.NOW_MS)
    resold = terminal.reversal(returned_goods, world.NOW_MS)
    late = {"reason": "501", "original": "expired"}
    return {
        "reserve": result_of(terminal, reserve, Outcome.APPROVED, world.EXPIRES),
        "no-reserve": result_of(
            terminal, reserve, Outcome.REGULATION_OUTDATED, {"version": "1", "reserve": "no"}
        ),
        "completion": msgspec.structs.replace(
            result_of(terminal, completion, Outcome.APPROVED), parent=reserve
        ),
        "completion-kept": Result(request=completion, fault=lost, offline=True),
        "completion-late": with_lines(
            result_of(terminal, completion, Outcome.RECORDED_IN_CONFLICT, late), completion, 0
        ),
        "return": result_of(terminal, returned_goods, Outcome.APPROVED),
        "reserve-freed": with_lines(result_of(terminal, freed, Outcome.APPROVED), reserve),
        "return-reversed": with_lines(
            result_of(terminal, resold, Outcome.APPROVED, {"original": "return"}), returned_goods
        ),
        "visit": result_of(terminal, visit, Outcome.APPROVED),
        "taken-back": with_lines(result_of(terminal, reversal, Outcome.APPROVED), sale),
        "approved": result_of(terminal, sale, Outcome.APPROVED),
        "partly": result_of(
            terminal, water, Outcome.APPROVED_PARTLY, {"item": "WATER.COLD", "remaining": "10000"}
        ),
        "declined": result_of(terminal, sale, Outcome.ALLOWANCE_EXHAUSTED, short),
        "reversal": result_of(terminal, reversal, Outcome.APPROVED, {"original": "unknown"}),
        "later": result_of(terminal, sale, Outcome.TRY_LATER),
        "lost": Result(request=sale, fault=lost),
        "forged": Result(request=sale, judgement=forged),
        "offline": Result(request=world.sale(terminal, *TWO_LINES, offline=True), offline=True),
        "conflict": result_of(terminal, sale, Outcome.RECORDED_IN_CONFLICT, {"reason": "303"}),
    }


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("name", list(cases()))
def test_the_receipt_is_as_printed_before(name: str, language: Language) -> None:
    text = receipt_text(cases()[name], world.parameters(), language, world.CARD_NUMBER)
    file = EXPECTED / f"{name}.{language}.txt"
    if os.environ.get("SPK_WRITE_EXPECTED") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list(cases()))
def test_no_row_is_wider_than_the_paper_and_no_card_number_is_whole(name: str) -> None:
    for language in ("ru", "en"):
        text = receipt_text(cases()[name], world.parameters(), language, world.CARD_NUMBER)
        assert max(len(row) for row in text.splitlines()) <= COLUMNS
        assert world.CARD_NUMBER not in text
        assert world.CARD_NUMBER[-4:] in text


def test_a_receipt_file_proves_its_decision() -> None:
    request = world.sale(world.terminal(), *TWO_LINES)
    answer = world.answer(request, covered=50)
    assert answer.decision is not None
    items = tuple(line.item for line in request.lines)
    file = ReceiptFile.of(request.key, items, answer.decision, answer.receipt)
    again = ReceiptFile.decode(file.encode())
    assert again == file
    assert again.decision == answer.decision
    again.verify(world.point_of(world.RECEIPT_KEY))
    cheaper = msgspec.structs.replace(again, approval_code="000000")
    with pytest.raises(ValueError, match="not in the block"):
        cheaper.verify(world.point_of(world.RECEIPT_KEY))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"request_digest": "zz"}, "request_digest"),
        ({"receipt": ""}, "receipt"),
        ({"block": -1}, "block"),
        ({"lane": 70_000}, "lane"),
        ({"approval_code": "1"}, "approval_code"),
        ({"outcome": 999}, "outcome"),
        ({"version": 2}, "version"),
        ({"surname": "Иванов"}, "surname"),
    ],
)
def test_a_damaged_receipt_file_names_the_field(change: dict[str, object], told: str) -> None:
    request = world.sale(world.terminal())
    answer = world.answer(request)
    assert answer.decision is not None
    file = ReceiptFile.of(request.key, (), answer.decision, answer.receipt)
    fields = msgspec.to_builtins(file) | change
    with pytest.raises(ReceiptFileError, match=told):
        ReceiptFile.decode(msgspec.json.encode(fields))


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[]", b"{}", b"0" * 70_000])
def test_what_is_no_receipt_file_is_told(data: bytes) -> None:
    with pytest.raises(ReceiptFileError, match="receipt file"):
        ReceiptFile.decode(data)
