"""One day in a small region, told by real programs: `scripts/demo`.

A region is created, a centre started, cards issued at a real PC/SC reader, and services given at
terminals: approvals, each kind of refusal, a reversal, a lost answer, a killed centre. At the end
stands a table of what happened, and the day's export, whose totals equal the terminals' own.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from processing.wire.iso8583.mac import Mac
from processing.wire.outcome import TEXTS, Outcome
from processing.wire.parameter_file import ParameterFile
from processing.wire.transaction import Request
from scripts.demo_proxy import FailingLine
from scripts.demo_stage import Stage, StageError, default_home
from scripts.demo_wire import Wire

Language = Literal["ru", "en"]

TERMINALS: Final = ("AP000001", "AP000002", "AP000003", "CL000001", "UT000001", "SC000001")
SOKOLOVA_HOLDER: Final = bytes.fromhex("019b76daa80070008000000000000001")


class Person(NamedTuple):
    """Somebody of the region's cast (processing/region/cast.toml) who gets a card."""

    card: str
    snils: str
    ru: str
    en: str


CAST: Final = {
    "maria": Person("card-0001", "99999999093", "Мария Соколова, 75 лет", "Maria Sokolova, 75"),
    "irina": Person("card-0002", "99999999194", "Ирина Кузнецова", "Irina Kuznetsova"),
    "viktor": Person("card-0003", "99999999699", "Виктор Орлов", "Viktor Orlov"),
    "tatiana": Person("card-0004", "99999999700", "Татьяна Лебедева", "Tatiana Lebedeva"),
    "nina": Person("card-0005", "99999999800", "Нина Громова", "Nina Gromova"),
}


class Scene(NamedTuple):
    """One command at one terminal with one card, and the outcome it must have."""

    who: str
    terminal: str
    words: tuple[str, ...]
    outcome: Outcome
    ru: str
    en: str
    pin: str = ""


MEDICINE: Final = ("sell", "MEDICINE")
SCENES: Final = (
    Scene(
        "maria",
        "AP000001",
        (*MEDICINE, "ENALAPRIL-10-20=2@145.50"),
        Outcome.APPROVED,
        "две упаковки эналаприла бесплатно",
        "two packs of enalapril, free",
    ),
    Scene(
        "maria",
        "AP000001",
        (*MEDICINE, "METFORMIN-850-60=1@289.90"),
        Outcome.APPROVED,
        "метформин за полцены, но не выше предельной",
        "metformin at half price up to the cap",
    ),
    Scene(
        "maria",
        "AP000001",
        (*MEDICINE, "ENALAPRIL-10-20=2@145.50"),
        Outcome.ALLOWANCE_EXHAUSTED,
        "ещё две упаковки, а по рецепту осталась одна",
        "two more packs, but the prescription has one left",
    ),
    Scene(
        "irina",
        "AP000001",
        (*MEDICINE, "CETIRIZINE-DROPS-10=1@224.80"),
        Outcome.APPROVED,
        "лекарство ребёнку по карте матери",
        "the child's medicine on the mother's card",
    ),
    Scene(
        "viktor",
        "AP000001",
        (*MEDICINE, "ENALAPRIL-10-20=1@145.50"),
        Outcome.NO_ENTITLEMENT,
        "рецепта нет",
        "no prescription",
    ),
    Scene(
        "viktor",
        "CL000001",
        ("visit", "B01.047.001"),
        Outcome.APPROVED,
        "приём терапевта по ОМС",
        "a clinic visit under health insurance",
    ),
    Scene(
        "irina",
        "UT000001",
        ("utility", "WATER.COLD=12.5@54.87", "POWER=420@5.12"),
        Outcome.APPROVED_PARTLY,
        "вода и свет за полцены, сверх нормы полностью",
        "water and power at half price within the norm",
    ),
    Scene(
        "tatiana",
        "SC000001",
        ("sell", "CERTIFICATE", "CARE.HOUR=3@420.00", "--evidence", "tap"),
        Outcome.EVIDENCE_WEAK,
        "сертификат требует ПИН-кода",
        "a certificate needs the PIN",
    ),
    Scene(
        "tatiana",
        "SC000001",
        ("sell", "CERTIFICATE", "CARE.HOUR=3@420.00"),
        Outcome.APPROVED,
        "три часа ухода на дому по сертификату",
        "three hours of home care on a certificate",
        pin="right",
    ),
)


class Hostile(NamedTuple):
    """A message that no honest terminal sends."""

    ru: str
    en: str
    request: Request


class Told(NamedTuple):
    """A row of the closing table."""

    who: str
    where: str
    what: str
    outcome: str
    good: bool


class Demo:
    """The story; `tell` it on a stage."""

    def __init__(self, stage: Stage, citizens: int) -> None:
        self._stage = stage
        self._citizens = citizens
        self._console = stage.console
        self._lang: Language = "ru" if stage.language == "ru" else "en"
        self._told: list[Told] = []
        self._parameters = {name: Path(f"{name}.json") for name in TERMINALS}
        self._step = 0

    def say(self, ru: str, en: str) -> None:
        """Begin a new part of the story."""
        self._step += 1
        self._console.rule(f"[bold]{self._step}. {ru if self._lang == 'ru' else en}", align="left")

    def show(self, words: tuple[str, ...], printed: str) -> None:
        """Show a command and what it printed."""
        self._console.print(Text(f"$ spk {' '.join(words)}", style="bold cyan"))
        self._console.print(Text(printed.rstrip()))

    def tell(self) -> None:
        """Tell all of it."""
        self._open_centre()
        self._issue_cards()
        self._serve()
        self._take_back()
        self._lose_an_answer()
        self._kill_the_centre()
        self._refuse_the_hostile()
        self._close_the_day()

    def _run(self, *words: str | Path, expect: tuple[int, ...] = (0,)) -> str:
        printed = self._stage.spk(*words, expect=expect)
        self.show(tuple(str(word) for word in words), printed)
        return printed

    def _open_centre(self) -> None:
        stage = self._stage
        self.say("Регион, ключи и центр", "A region, its keys and its centre")
        stage.spk("db", "start")
        stage.spk("db", "migrate")
        self._run("region", "create", "--citizens", str(self._citizens), "--seed", "2026")
        stage.spk("hsm", "init", "--region", "99")
        stage.start("hsm", "hsm", "run")
        stage.start_centre()
        stage.spk("hsm", "export-public", "public")
        station_token = stage.environment["SPK_STATION_TOKEN_FILE"]
        stage.spk("cards", "add-station", "station-1", "--token-file", station_token)
        for name in TERMINALS:
            self._run("terminals", "enrol", name, "--out", self._parameters[name])

    def _issue_cards(self) -> None:
        stage = self._stage
        self.say("Карты", "Cards")
        over_pcsc = stage.open_readers(2)
        stage.spk("card", "blank", "--drawer", stage.drawer, "--count", str(len(CAST)))
        for key, person in CAST.items():
            with stage.card_at_reader(person.card) as where:
                pin_file = f"{key}.pins"
                words = ("--snils", person.snils, *where, "--pin-file", pin_file)
                printed = stage.spk("card", "issue", *words, "--lang", self._lang)
            self.show(("card", "issue", *words), printed.splitlines()[-1])
            written = (stage.home / f"{key}.pins").read_text("utf-8").split()
            pin = next(word for word in written if len(word) == 6 and word.isdigit())
            (stage.home / self._pin_file(key)).write_text(pin)
        if over_pcsc and stage.readers is not None:
            self._console.print(f"PC/SC: [bold green]{', '.join(stage.readers.names)}[/]")
        else:
            self._console.print("[yellow]no PC/SC here: the cards are called in process[/]")

    def _serve(self) -> None:
        self.say("День у терминалов", "A day at the terminals")
        self._run_scene_rights()
        for scene in SCENES:
            self._play(scene)
        self._wrong_pin()
        self._blocked_card()

    def _run_scene_rights(self) -> None:
        person = CAST["maria"]
        with self._stage.card_at_reader(person.card) as where:
            self._run("terminal", "rights", "--params", self._parameters["AP000001"], *where)

    def _play(self, scene: Scene) -> str:
        person = CAST[scene.who]
        with self._stage.card_at_reader(person.card) as where:
            words: tuple[str | Path, ...] = (
                "terminal",
                *scene.words,
                "--params",
                self._parameters[scene.terminal],
                *where,
            )
            if scene.pin:
                words = (*words, "--pin-file", self._pin_file(scene.who))
            printed = self._run(*words, expect=(0, 1))
        self._expect(scene.outcome, printed)
        self._record(person, scene.terminal, scene.ru, scene.en, scene.outcome)
        return printed

    def _expect(self, outcome: Outcome, printed: str) -> None:
        text = TEXTS[outcome].ru if self._lang == "ru" else TEXTS[outcome].en
        # A receipt breaks its lines, so blanks of any length count as one.
        if text.upper() not in " ".join(printed.upper().split()):
            raise StageError(
                f"expected {outcome.name} ({text}), but the terminal printed:\n{printed}"
            )

    def _record(
        self, person: Person | None, where: str, ru: str, en: str, outcome: Outcome
    ) -> None:
        text = TEXTS[outcome].ru if self._lang == "ru" else TEXTS[outcome].en
        who = "—" if person is None else (person.ru if self._lang == "ru" else person.en)
        what = ru if self._lang == "ru" else en
        good = outcome.approved or outcome is Outcome.RECORDED_IN_CONFLICT
        self._told.append(Told(who, where, what, f"{text} ({outcome.value})", good))

    def _pin_file(self, who: str) -> Path:
        """Return a file with nothing but the PIN that the station wrote down for this card."""
        return Path(f"{who}.pin")

    def _wrong_pin(self) -> None:
        person = CAST["tatiana"]
        wrong = "wrong.pin"
        (self._stage.home / wrong).write_text("000000\n")
        with self._stage.card_at_reader(person.card) as where:
            self._run(
                *("terminal", "sell", "CERTIFICATE", "CARE.HOUR=1@420.00", *where),
                *("--params", self._parameters["SC000001"], "--pin-file", wrong),
                expect=(2,),
            )

    def _blocked_card(self) -> None:
        self._run("card", "block", self._guid("nina"))
        self._play(
            Scene(
                "nina",
                "AP000001",
                (*MEDICINE, "ENALAPRIL-10-20=1@145.50"),
                Outcome.CARD_BLOCKED,
                "карта заблокирована как утерянная",
                "the card was blocked as lost",
            )
        )

    def _take_back(self) -> None:
        self.say("Отмена", "A reversal")
        first = self._receipts("AP000001")[0]
        self._run(
            *("terminal", "reverse", first.stem, "--params", self._parameters["AP000001"]),
            expect=(0,),
        )
        ru, en = "эналаприл возвращён на остаток", "the enalapril goes back to the balance"
        self._record(None, "AP000001", ru, en, Outcome.APPROVED)
        self._run_scene_rights()

    def _over_failing_line(
        self, terminal: str, fault: Callable[[], None], scene: Scene, ru: str, en: str
    ) -> None:
        """Sell over a line that loses the first answer; the terminal asks again and is told."""
        line = FailingLine(self._stage.iso_port, fault)
        parameters = self._parameters[terminal]
        self._stage.spk(
            *("terminals", "enrol", terminal, "--out", parameters, "--replace"),
            *("--centre-port", str(line.port)),
        )
        self._play(scene)
        line.close()
        if line.lost != 1:
            raise StageError("the line did not lose an answer, so nothing was shown")
        person, where, what, outcome, good = self._told.pop()
        what = f"{what}; {ru if self._lang == 'ru' else en}"
        self._told.append(Told(person, where, what, outcome, good))

    def _lose_an_answer(self) -> None:
        self.say("Потерянный ответ", "A lost answer")
        self._over_failing_line(
            "AP000002",
            lambda: None,
            Scene(
                "maria",
                "AP000002",
                (*MEDICINE, "ENALAPRIL-10-20=1@145.50"),
                Outcome.APPROVED,
                "упаковка эналаприла",
                "a pack of enalapril",
            ),
            "ответ потерян, повтор дал то же решение",
            "the answer was lost, asking again gave the same decision",
        )

    def _kill_the_centre(self) -> None:
        self.say("Убитый центр", "A killed centre")

        def fault() -> None:
            self._stage.kill("centre")
            self._stage.start_centre()

        self._over_failing_line(
            "AP000003",
            fault,
            Scene(
                "maria",
                "AP000003",
                (*MEDICINE, "METFORMIN-850-60=1@289.90"),
                Outcome.APPROVED,
                "упаковка метформина",
                "a pack of metformin",
            ),
            "центр убит (kill -9) до ответа и запущен снова",
            "the centre was killed (kill -9) before its answer and started again",
        )

    def _refuse_the_hostile(self) -> None:
        self.say("Чужие и сломанные терминалы", "Hostile and broken terminals")
        parameters = self._parameters_of("AP000001")
        wire = Wire(parameters)
        card = UUID(self._guid("maria")).bytes
        forged = wire.sale(card, SOKOLOVA_HOLDER)
        other = wire.sale(card, SOKOLOVA_HOLDER)
        hour_ago = time.time_ns() // 1_000_000 - 3_600_000
        cases = (
            Hostile("неизвестная карта", "an unknown card", wire.sale(bytes(16), SOKOLOVA_HOLDER)),
            Hostile("подпись другим ключом", "a signature of another key", forged),
            Hostile(
                "другая операция под тем же номером",
                "another transaction under the same number",
                msgspec.structs.replace(other, key=forged.key),
            ),
            Hostile(
                "часы отстают на час",
                "a clock an hour late",
                wire.sale(card, SOKOLOVA_HOLDER, hour_ago),
            ),
        )
        expected = (
            Outcome.CARD_UNKNOWN,
            Outcome.SIGNATURE_WRONG,
            Outcome.KEY_REUSED,
            Outcome.CLOCK_WRONG,
        )
        for case, outcome in zip(cases, expected, strict=True):
            self._refused(case, wire.ask(case.request).outcome, outcome, "AP000001")
        stranger = Hostile(
            "сообщение под чужим ключом", "a message under another key", wire.sale(card, card)
        )
        refusal = wire.ask(stranger.request, Mac(bytes(16)))
        self._refused(stranger, refusal.outcome, Outcome.MAC_WRONG, "AP000001")
        garbled = Hostile("испорченное сообщение", "a garbled message", forged)
        self._refused(garbled, wire.ask_garbled().outcome, Outcome.MALFORMED, "AP000001")
        clinic = Wire(self._parameters_of("CL000001"))
        signed = clinic.signed_by(
            self._stage.drawer / f"{CAST['maria'].card}.card", clinic.sale(card, SOKOLOVA_HOLDER)
        )
        elsewhere = Hostile("лекарство в поликлинике", "medicine at the clinic", signed)
        self._refused(elsewhere, clinic.ask(signed).outcome, Outcome.SERVICE_NOT_HERE, "CL000001")

    def _refused(self, case: Hostile, got: Outcome, expected: Outcome, terminal: str) -> None:
        if got is not expected:
            raise StageError(f"{case.en}: expected {expected.name}, got {got.name}")
        self._record(None, terminal, case.ru, case.en, got)
        row = self._told[-1]
        self._console.print(f"  {row.what} → {row.outcome}", highlight=False)

    def _parameters_of(self, terminal: str) -> ParameterFile:
        return ParameterFile.decode((self._stage.home / self._parameters[terminal]).read_bytes())

    def _guid(self, who: str) -> str:
        """Read the GUID of somebody's card."""
        with self._stage.card_at_reader(CAST[who].card) as where:
            shown = self._stage.spk("card", "show", *where, "--lang", "en")
        return next(word for word in shown.split() if len(word) == 36 and word.count("-") == 4)

    def _close_the_day(self) -> None:
        stage = self._stage
        self.say("Конец дня", "The end of the day")
        days = set()
        for name in TERMINALS:
            self._run("terminal", "totals", "--params", self._parameters[name])
            days |= {file.name[:8] for file in self._receipts(name)}
        day = max(days)
        day = f"{day[:4]}-{day[4:6]}-{day[6:]}"
        self._run("export", "day", day, "--out", "day.csv")
        some = self._receipts("AP000001")[0].relative_to(stage.home)
        key = Path("public") / "receipt-public-key.pem"
        self._run("receipt", "verify", some, "--key", key, "--lang", self._lang)

    def _receipts(self, terminal: str) -> list[Path]:
        """Return a terminal's receipt files, the oldest first."""
        folder = self._stage.home / f"{terminal}.state" / "receipts"
        return sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime)

    def closing_table(self) -> Table:
        """Return what happened, a row per deed."""
        ru = self._lang == "ru"
        table = Table(
            *(("кто", "где", "что", "результат") if ru else ("who", "where", "what", "outcome")),
            title="Что произошло" if ru else "What happened",
            title_justify="left",
        )
        for row in self._told:
            table.add_row(*row[:4], style="green" if row.good else "yellow")
        return table


def main() -> int:
    """Run the demonstration; 0 when all went as told."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--citizens", type=int, default=5_000, help="size of the region")
    parser.add_argument("--home", type=Path, default=default_home(), help="folder, made anew")
    preferred = "ru" if os.environ.get("LANG", "").startswith("ru") else "en"
    parser.add_argument("--lang", choices=("ru", "en"), default=preferred)
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 110)
    started = time.monotonic()
    try:
        with Stage(options.home.absolute(), options.lang, console) as stage:
            demo = Demo(stage, options.citizens)
            demo.tell()
            console.print(demo.closing_table())
    except StageError as error:
        console.print(f"[bold red]✗[/] {error}", highlight=False)
        return 1
    console.print(f"{time.monotonic() - started:.0f} s. {options.home}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
