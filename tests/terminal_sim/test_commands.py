"""`spk terminal` as the cashier runs it: words in, receipts and exit codes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from processing.wire.iso8583.messages import Network, NetworkCode
from processing.wire.receipt_file import ReceiptFile
from processing.wire.transaction import Evidence, Kind
from terminal_sim import commands, desk, serve, session, visit_commands
from tests.terminal_sim import world
from tests.terminal_sim.fake_centre import Does, FakeCentre

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command against a centre at the hour of world.NOW_MS, without pauses."""
    card = world.card_file(tmp_path / "drawer")
    monkeypatch.setattr(desk, "now_ms", lambda: world.NOW_MS)
    for module in (commands, session, visit_commands):
        monkeypatch.setattr(module, "now_ms", lambda: world.NOW_MS)
    monkeypatch.setattr(desk, "pause", lambda _: None)

    def command(centre: FakeCentre, *words: str) -> int:
        params = tmp_path / "AP000001.json"
        params.write_bytes(world.parameters(centre.port).encode())
        with pytest.raises(SystemExit) as ended:
            commands.app([*words, "--params", str(params), "--soft", str(card)])
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return command


def family(*script: Does) -> FakeCentre:
    """A centre where Maria's card acts for herself, her child and her household."""
    return FakeCentre(*script, rights=world.FAMILY_RIGHTS)


def test_rights_as_a_table(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with family() as centre:
        assert run(centre, "rights") == 0
    shown = capsys.readouterr().out.replace("\u00a0", " ")
    for words in ("Эналаприл", "20,65 м³", "15 000,00 ₽", "50 %", "30.04.2026", "0000c3"):
        assert words in shown


SOLD = [
    (("sell", "MEDICINE", "ENALAPRIL-10-20=2@145.50"), world.MOTHER, 29_100, Evidence.TAP),
    (("sell", "medicine", "METFORMIN-850-60=1@289,90"), world.CHILD, 28_990, Evidence.TAP),
    (("visit", "start", "OMS.VISIT", "B01.047.001"), world.MOTHER, 0, Evidence.TAP),
    (("sell", "OMS.VISIT", "B01.047.001", "--for", "a1"), world.MOTHER, 0, Evidence.TAP),
    (("utility", "WATER.COLD=12.5@48.20"), world.HOUSEHOLD, 60_250, Evidence.TAP),
]


@pytest.mark.parametrize(("words", "holder", "gross", "evidence"), SOLD)
def test_what_is_sent_for_what_was_typed(
    run: Run, words: tuple[str, ...], holder: bytes, gross: int, evidence: Evidence
) -> None:
    with family() as centre:
        assert run(centre, *words) == 0
    sold = centre.requests[-1]
    assert (sold.holder_id, sold.gross_kopecks, sold.evidence) == (holder, gross, evidence)


def test_a_certificate_wants_the_pin(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pin_file = tmp_path / "pin"
    words = ("sell", "CERTIFICATE", "CERT-WHEELCHAIR=1@9990", "--pin-file", str(pin_file))
    with family() as centre:
        for wrong, left in (("111111", 2), ("222222", 1)):
            pin_file.write_text(wrong)
            assert run(centre, *words) == 2
            assert f"Осталось попыток: {left}" in capsys.readouterr().err
        pin_file.write_text(world.PIN + "\n")
        assert run(centre, *words) == 0
    assert centre.requests[-1].evidence is Evidence.PIN


def test_a_receipt_is_printed_and_kept(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with family() as centre:
        assert run(centre, "sell", "MEDICINE", "ENALAPRIL-10-20=2@145.50") == 0
    printed = capsys.readouterr().out
    kept = sorted((tmp_path / "AP000001.state" / "receipts").iterdir())
    assert [path.suffix for path in kept] == [".json", ".txt"]
    assert kept[1].read_text() in printed
    ReceiptFile.decode(kept[0].read_bytes()).verify(world.point_of(world.RECEIPT_KEY))
    assert world.CARD_NUMBER not in json.dumps(kept[0].read_text())


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ((Does.APPROVE, Does.DECLINE), 1, "ОТКАЗ"),
        ((Does.APPROVE, *(Does.HANG_UP,) * 3), 2, "будет повторён"),
        ((Does.APPROVE, *(Does.SIGN_WRONGLY,) * 3), 2, "не доказан"),
        ((Does.APPROVE, *(Does.TRY_LATER,) * 3), 2, "Центр перегружен"),
        ((Does.DECLINE,), 1, "не хватает"),
    ],
)
def test_what_goes_wrong_is_said(
    run: Run,
    capsys: pytest.CaptureFixture[str],
    script: tuple[Does, ...],
    code: int,
    words: str,
) -> None:
    with family(*script) as centre:
        assert run(centre, "sell", "MEDICINE", "ENALAPRIL-10-20=2@145.50") == code
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("sell", "HAIRCUT", "ENALAPRIL-10-20"), "Есть: MEDICINE"),
        (("sell", "MEDICINE", "ASPIRIN=1@1"), "нет на терминале"),
        (("sell", "MEDICINE", "ENALAPRIL-10-20=1@1.005"), "знаков после запятой"),
        (("sell", "MEDICINE", "ENALAPRIL-10-20", "--for", "ffff"), "не найден"),
        (("sell", "MEDICINE", "ENALAPRIL-10-20=1@1", "--offline"), "--for UUID"),
        (("reverse", "20260305-AP000001-000007"), "не найдена"),
        (("reverse", "7"), "ДАТА-ТЕРМИНАЛ-НОМЕР"),
    ],
)
def test_mistakes_are_told_in_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    with family() as centre:
        assert run(centre, *words) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_the_english_terminal_speaks_english(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with family() as centre:
        assert run(centre, "sell", "MEDICINE", "ASPIRIN=1@1", "--lang", "en") == 2
    assert "knows no item" in capsys.readouterr().err


def test_nobody_here_has_the_right(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeCentre() as centre:
        assert run(centre, "sell", "MEDICINE", "ENALAPRIL-10-20=1@1") == 1
    assert "Нет действующего права" in capsys.readouterr().out
    assert len(centre.requests) == 1


def test_the_next_start_learns_what_became_of_a_lost_sale(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with family(Does.APPROVE, *(Does.HANG_UP,) * 3) as centre:
        assert run(centre, "sell", "MEDICINE", "ENALAPRIL-10-20=2@145.50") == 2
        capsys.readouterr()
        assert run(centre, "pending") == 0
        assert "ОДОБРЕНО" in capsys.readouterr().out
        assert run(centre, "totals") == 0
    assert "Итоги сошлись" in capsys.readouterr().out


def test_sold_and_taken_back(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with family() as centre:
        run(centre, "sell", "MEDICINE", "ENALAPRIL-10-20=2@145.50")
        name = next((tmp_path / "AP000001.state" / "receipts").glob("*.txt")).stem
        capsys.readouterr()
        assert run(centre, "reverse", name) == 0
        assert "ОТМЕНА" in capsys.readouterr().out
        assert run(centre, "totals", "--close") == 0
        shown = capsys.readouterr().out
        assert "День 05.03.2026 закрыт" in shown
        assert run(centre, "visit", "start", "OMS.VISIT", "B01.047.001") == 0
    assert f"{centre.requests[-1].key.business_date}" == "2026-03-06"


def test_offline_then_sent(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("sell", "MEDICINE", "ENALAPRIL-10-20=1@145.50", "--for", world.MOTHER.hex())
    with family() as centre:
        assert run(centre, *words, "--offline") == 2
        assert centre.requests == []
        assert "ЗАПИСАНО БЕЗ СВЯЗИ" in capsys.readouterr().out
        assert run(centre, "pending") == 0
    assert [one.advice for one in centre.requests] == [True]


def test_echo_tells_the_clocks(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with family() as centre:
        assert run(centre, "echo") == 0
    assert "05.03.2026 12:30:00" in " ".join(capsys.readouterr().out.split())


def receipt_names(folder: Path) -> list[str]:
    """The numbers on the receipts of the terminal in this folder, in order."""
    return sorted(one.stem for one in (folder / "AP000001.state" / "receipts").glob("*.txt"))


def test_reserved_listed_given_and_brought_back(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with family() as centre:
        assert run(centre, "reserve", "MEDICINE", "ENALAPRIL-10-20=2@145.50") == 0
        assert "Отложено до 08.03.2026 12:30" in capsys.readouterr().out
        (reserved,) = receipt_names(tmp_path)
        assert run(centre, "reservations") == 0
        shown = capsys.readouterr().out
        assert reserved in shown
        assert "08.03.2026 12:30" in shown
        assert run(centre, "complete", reserved, "ENALAPRIL-10-20=1") == 0
        assert "ВЫДАЧА ОТЛОЖЕННОГО" in capsys.readouterr().out
        assert run(centre, "reservations") == 0
        assert "Отложенного нет" in capsys.readouterr().out
        given = receipt_names(tmp_path)[-1]
        assert run(centre, "return", given) == 0
        assert "ВОЗВРАТ ТОВАРА" in capsys.readouterr().out
        assert run(centre, "totals") == 0
        assert "Итоги сошлись" in capsys.readouterr().out
    kinds = [one.kind for one in centre.requests if one.kind is not Kind.INQUIRY]
    assert kinds == [Kind.RESERVE, Kind.COMPLETION, Kind.RETURN]


def test_where_nothing_is_put_aside_the_centre_is_not_asked(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with family() as centre:
        assert run(centre, "reserve", "UTILITY", "WATER.COLD=1@48.20") == 2
    assert "Откладываются: MEDICINE" in capsys.readouterr().err
    assert centre.requests == []


def test_a_visit_begins_is_listed_and_ends(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with family() as centre:
        assert run(centre, "visit", "list") == 0
        assert "Незаконченных посещений нет" in capsys.readouterr().out
        assert run(centre, "visit", "start", "OMS.VISIT", "B01.047.001") == 0
        assert "НАЧАЛО ПОСЕЩЕНИЯ" in capsys.readouterr().out
        (begun,) = receipt_names(tmp_path)
        assert run(centre, "visit", "list") == 0
        shown = capsys.readouterr().out
        assert begun in shown
        assert "05.03.2026 20:30" in shown
        assert run(centre, "visit", "finish", begun[-6:]) == 0
        assert "ОКОНЧАНИЕ ПОСЕЩЕНИЯ" in capsys.readouterr().out
        assert run(centre, "visit", "finish") == 2
        assert "не начато ни одного посещения" in capsys.readouterr().err
        assert run(centre, "totals") == 0
    kinds = [one.kind for one in centre.requests if one.kind is not Kind.INQUIRY]
    assert kinds == [Kind.VISIT_START, Kind.VISIT_FINISH]
    assert centre.requests[-1].challenge == world.CHALLENGE


def test_booked_for_a_time_and_cancelled(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("book", "MEDICINE", "ENALAPRIL-10-20=1@145.50", "--at")
    with family() as centre:
        assert run(centre, *words, "06.03.2026 09:30") == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "Назначено на 06.03.2026 09:30" in shown
        (booked,) = receipt_names(tmp_path)
        assert run(centre, "reservations") == 0
        assert "06.03.2026 09:30" in capsys.readouterr().out
        assert run(centre, "cancel", booked) == 0
        assert "Больше ничего не отложено" in capsys.readouterr().out
        assert run(centre, "cancel", booked) == 2
        assert "не бронь" in capsys.readouterr().err
        for wrong, told in (
            ("05.03.2026 12:29", "уже прошло"),
            ("09.03.2026 09:30", "держится до 08.03.2026 12:30"),
            ("завтра", "не читается"),
        ):
            assert run(centre, *words, wrong) == 2
            assert told in capsys.readouterr().err
    kinds = [one.kind for one in centre.requests if one.kind is not Kind.INQUIRY]
    assert kinds == [Kind.RESERVE, Kind.REVERSAL]


@pytest.mark.parametrize(
    ("text", "day", "clock"),
    [
        ("13:00", 5, "13:00"),
        ("12:30", 6, "12:30"),
        ("07:15", 6, "07:15"),
        ("2026-03-07 08:00", 7, "08:00"),
        ("07.03.2026 08:00", 7, "08:00"),
    ],
)
def test_a_time_alone_is_the_next_such_time(
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    day: int,
    clock: str,
) -> None:
    with family() as centre:
        order = ("book", "MEDICINE", "ENALAPRIL-10-20=1@145.50", "--at", text)
        assert run(centre, *order) == 0
    assert f"{day:02}.03.2026 {clock}" in capsys.readouterr().out
    assert len(receipt_names(tmp_path)) == 1


def test_given_while_the_centre_is_away(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with family(*(Does.APPROVE,) * 2, *(Does.HANG_UP,) * 3) as centre:
        assert run(centre, "reserve", "MEDICINE", "ENALAPRIL-10-20=1@145.50") == 0
        capsys.readouterr()
        assert run(centre, "complete", *receipt_names(tmp_path)) == 2
        assert "Товар можно отдать" in " ".join(capsys.readouterr().out.split())
        assert run(centre, "pending") == 0
        assert "ОДОБРЕНО" in capsys.readouterr().out


def test_the_key_and_the_shift(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    with family() as centre:
        for words in (("sign-on",), ("change-key",), ("totals", "--close"), ("sign-off",)):
            assert run(centre, *words) == 0
            said.append(capsys.readouterr().out)
    told = ("начал работу", "поколение 2", "проводит операции днём 05.03.2026", "закончил работу")
    for sentence, shown in zip(told, said, strict=True):
        assert sentence in shown
    codes = [one.message.code for one in centre.received if isinstance(one.message, Network)]
    assert codes == [
        NetworkCode.SIGN_ON,
        NetworkCode.KEY_CHANGE,
        NetworkCode.ECHO,
        NetworkCode.CUT_OVER,
        NetworkCode.SIGN_OFF,
    ]


@pytest.mark.parametrize("offered", [True, False])
def test_a_due_key_is_changed_at_the_sign_on(
    run: Run, capsys: pytest.CaptureFixture[str], offered: bool
) -> None:
    with family() as centre:
        centre.key_due, centre.offers_keys = True, offered
        assert run(centre, "sign-on") == 0
        shown = capsys.readouterr().out
        assert ("поколение 2" if offered else "Центр не выдал ключ") in shown
        assert run(centre, "echo") == 0
    assert list(centre.keys) == ([2] if offered else [1])


def test_a_blocked_terminal_is_told_when_it_signs_on(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with family(Does.DECLINE) as centre:
        assert run(centre, "sign-on") == 1
    assert "Терминал заблокирован" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "verb"),
    [
        ("отложить", serve.Verb.RESERVE),
        ("отл", serve.Verb.RESERVE),
        ("Выдать", serve.Verb.COMPLETE),
        ("вы", serve.Verb.COMPLETE),
        ("вер", serve.Verb.RETURN),
        ("отм", serve.Verb.REVERSE),
        ("reserve", serve.Verb.RESERVE),
        ("ret", serve.Verb.RETURN),
        ("cancel", serve.Verb.REVERSE),
        ("нач", serve.Verb.START),
        ("закончить", serve.Verb.FINISH),
        ("fin", serve.Verb.FINISH),
        ("от", None),
        ("re", None),
        ("в", None),
        ("ENALAPRIL-10-20=1", None),
    ],
)
def test_a_beginning_will_do(word: str, verb: serve.Verb | None) -> None:
    assert serve.verb_in(word) is verb


def test_a_shift_at_the_till(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = "отложить ENALAPRIL-10-20=1@145.50"
    typed = iter(
        [
            "",
            "ENALAPRIL-10-20=2@145.50",
            "ASPIRIN=1",
            first,
            "выдать",
            "выдать 495009",
            "выдать 495005 ENALAPRIL-10-20=2",
            "выдать 495005",
            "вернуть 495007 ENALAPRIL-10-20=1",
            "отменить 495003",
            "начать B01.047.001",
            "закончить",
            "",
        ]
    )

    def read(_: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(serve, "input", read, raising=False)
    monkeypatch.setattr(serve, "now_ms", lambda: world.NOW_MS)
    with family() as centre:
        assert run(centre, "serve") == 0
    shown = capsys.readouterr().out
    for words in (
        "ПРИЛОЖИТЕ КАРТУ",
        "ОДОБРЕНО",
        "нет на терминале",
        "Отложено и не выдано",
        "Назовите номер",
        "495009 на этом терминале не найдена",
        "осталось 1",
        "ВЫДАЧА ОТЛОЖЕННОГО",
        "ВОЗВРАТ ТОВАРА",
        "ОТМЕНА",
        "НАЧАЛО ПОСЕЩЕНИЯ",
        "Начато и не закончено",
        "ОКОНЧАНИЕ ПОСЕЩЕНИЯ",
        "Заберите",
        "Смена",
    ):
        assert words in shown
    codes = [one.message.code for one in centre.received if isinstance(one.message, Network)]
    assert codes == [NetworkCode.SIGN_ON, NetworkCode.SIGN_OFF]


def test_a_missing_parameter_file_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.app(["echo", "--params", str(tmp_path / "none.json")])
    assert ended.value.code == 2
    assert "Файл параметров не читается" in capsys.readouterr().err
