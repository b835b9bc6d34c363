"""`spk card` and `spk cards` as a person types them, against a served centre."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from uuid import UUID

import pytest

from card_personalization.station.commands import app
from card_personalization.station.equipment import card_at
from processing.cards.commands import app as cards_app
from processing.cli import run
from processing.kernel.roles import Role
from tests.cards import population as p
from tests.station.office import ServedCentre, read_text


class Desk:
    """A station's desk: its folder, its token and the centre."""

    def __init__(
        self, centre: ServedCentre, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.centre = centre
        self.folder = folder
        self._capsys = capsys
        self.token_file = folder / "token"
        self.token_file.write_text(f"{centre.token}\n", encoding="utf-8")

    def spk(self, *arguments: str) -> tuple[int, str, str]:
        """Run `spk card` with these words; exit code, output, errors."""
        try:
            code = run(app, list(arguments))
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        out, err = self._capsys.readouterr()
        return code, out, err

    def at_centre(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command that talks to the centre."""
        return self.spk(
            *arguments, "--centre", self.centre.address, "--token-file", str(self.token_file)
        )

    def blank(self) -> Path:
        """Lay one blank card into the drawer."""
        code, out, _ = self.spk("blank", "--drawer", str(self.folder / "drawer"))
        assert code == 0
        return Path(out.split()[-1])

    def issue(self, card: Path, *arguments: str) -> tuple[int, str, str]:
        """Issue a drawer's card to the mother."""
        return self.at_centre("issue", "--snils", p.MOTHER_SNILS, "--soft", str(card), *arguments)


@pytest.fixture
def desk(
    centre: ServedCentre,
    hsm_address: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    monkeypatch.setenv("SPK_HSM", str(hsm_address))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("SPK_STATION", str(tmp_path / "station"))
    return Desk(centre, tmp_path, capsys)


def test_a_card_from_blank_to_blocked(desk: Desk) -> None:
    card, pin_file = desk.blank(), desk.folder / "letter.txt"
    code, out, err = desk.spk("show", "--soft", str(card))
    assert (code, out) == (1, "")
    assert "Карта чистая" in err

    code, out, err = desk.issue(card, "--pin-file", str(pin_file))
    assert (code, err) == (0, "")
    assert "[1/13] Узнать карту" in out
    assert "[13/13] Сообщить центру" in out
    found = re.search(r"Карта (96439099\d{11}) действует \(GUID ([0-9a-f-]{36})\)", out)
    assert found is not None
    number, card_id = found.groups()

    letter = read_text(pin_file)
    pin = re.search(r"^ПИН-код  (\d{6})$", letter, re.MULTILINE)
    assert pin is not None
    assert f"Карта {number}\n" in letter
    assert pin[1] not in out
    assert stat.S_IMODE(pin_file.stat().st_mode) == 0o600

    code, out, _ = desk.spk("show", "--soft", str(card), "--lang", "en")
    assert code == 0
    for words in (number, card_id, "Key 9E proven", "yes", "Certificate 9A", "Certificate 9E"):
        assert words in out

    check_pin_change(desk, card, pin[1])
    code, out, _ = desk.at_centre("block", card_id)
    assert (code, out) == (0, f"Карта {number}: заблокирована\n")
    assert desk.centre.rows("SELECT state FROM cards.card WHERE card_id = $1", UUID(card_id)) == [
        (2,)
    ]
    code, out, _ = desk.at_centre("reset", "--soft", str(card))
    assert (code, out) == (0, "Карта чистая, её можно выпустить\n")


def test_the_passport_on_a_card_is_renewed_when_it_is_due(desk: Desk) -> None:
    card = desk.blank()
    assert desk.issue(card)[0] == 0
    written = passport_on(card)
    assert written
    code, out, _ = desk.at_centre("refresh", "--soft", str(card))
    assert (code, out) == (0, "Социальный паспорт на карте свежий\n")
    desk.centre.rows("INSERT INTO cards.offline_limit VALUES ('MEDICINE', '', 1, 1, 1)")
    code, out, _ = desk.at_centre("refresh", "--soft", str(card), "--lang", "en")
    assert (code, out) == (0, "The social passport was renewed\n")
    assert passport_on(card) != written


def passport_on(file: Path) -> bytes:
    with card_at(None, file) as card:
        card.select()
        return card.read_passport()


def check_pin_change(desk: Desk, card: Path, pin: str) -> None:
    old, new = desk.folder / "old", desk.folder / "new"
    files = ("--pin-file", str(old), "--new-pin-file", str(new))
    for old_pin, new_pin, code, words in (
        ("00000000", "135790", 1, "Осталось попыток: 4"),
        (pin, "12ab", 1, "6–8 цифр"),
        (pin, "135790", 0, "ПИН-код изменён"),
        (pin, "246801", 1, "Осталось попыток: 4"),
        ("135790", "246801", 0, "ПИН-код изменён"),
    ):
        old.write_text(old_pin, encoding="utf-8")
        new.write_text(new_pin, encoding="utf-8")
        found, out, err = desk.spk("change-pin", "--soft", str(card), *files)
        assert (found, words in out + err) == (code, True), (old_pin, out, err)


def test_without_a_pin_file_the_letter_is_shown_once(desk: Desk) -> None:
    code, out, _ = desk.issue(desk.blank(), "--lang", "en")
    assert code == 0
    assert len(re.findall(r"^PIN  \d{6}$", out, re.MULTILINE)) == 1
    assert len(re.findall(r"^PUK  \d{8}$", out, re.MULTILINE)) == 1


def test_an_existing_letter_is_never_written_over(desk: Desk) -> None:
    pin_file = desk.folder / "letter.txt"
    pin_file.write_text("of another card", encoding="utf-8")
    code, _, err = desk.issue(desk.blank(), "--pin-file", str(pin_file))
    assert code == 1
    assert "уже есть" in err
    assert read_text(pin_file) == "of another card"
    assert desk.centre.order_states() == []


def test_a_second_card_wants_replace(desk: Desk) -> None:
    assert desk.issue(desk.blank())[0] == 0
    code, _, err = desk.issue(desk.blank())
    assert code == 1
    assert "--replace" in err
    assert "ничего не изменено" in err
    assert desk.issue(desk.blank(), "--replace")[0] == 0


def test_a_report_may_be_repeated(desk: Desk) -> None:
    card = desk.blank()
    code, out, _ = desk.issue(card)
    assert code == 0
    ((order_id,),) = desk.centre.rows("SELECT order_id FROM cards.card_order")
    code, again, _ = desk.at_centre("report", str(order_id), "--soft", str(card))
    assert (code, again) == (0, out.splitlines()[-1] + "\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "--soft", "nowhere/card-1.card"), "no card 'card-1'"),
        (("show", "--soft", "a.card", "--reader", "b"), "либо --reader, либо --soft"),
        (("block", str(UUID(int=3)), "--token-file", "nowhere"), "Нет токена станции"),
        (("block", str(UUID(int=3))), "--token-file"),
        (("blank", "--drawer", "x", "--count", "0"), "--count"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    desk: Desk, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = desk.spk(*arguments)
    assert (code, out) == (1, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_station_is_added_once_and_renewed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPK_DSN", desk.centre.database.dsn(Role.OPERATOR))
    first, second = desk.folder / "first", desk.folder / "second"

    def add(path: Path, *more: str) -> int:
        try:
            return run(cards_app, ["add-station", "office-9", "--token-file", str(path), *more])
        except SystemExit as leaving:
            return int(leaving.code or 0)

    assert add(first) == 0
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert add(first) == 2
    assert "exists already" in capsys.readouterr().err
    assert add(second) == 2
    assert "--renew" in capsys.readouterr().err
    assert not second.exists()
    assert add(second, "--renew") == 0
    for path, code in ((first, 1), (second, 0)):
        desk.token_file = path
        assert desk.issue(desk.blank(), "--replace")[0] == code
