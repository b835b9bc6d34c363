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
from typing import NamedTuple
from uuid import UUID

import msgspec
from rich.console import Console
from rich.table import Table

from processing.wire.iso8583.mac import Mac
from processing.wire.outcome import TEXTS, Outcome
from processing.wire.parameter_file import ParameterFile
from processing.wire.transaction import Request
from scripts.demo_ending import tell_how_to_go_on, write_settings
from scripts.demo_offices import Offices
from scripts.demo_proxy import FailingLine
from scripts.demo_screen import Screen, rows_of
from scripts.demo_stage import Stage, StageError, default_home
from scripts.demo_story import (
    CAST,
    HOME_VISIT,
    HOME_VISIT_ENDS,
    MEDICINE,
    PRESCRIBED,
    SCENES,
    SOKOLOVA_HOLDER,
    TAXI,
    TERMINALS,
    Person,
    Scene,
)
from scripts.demo_wire import Wire


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

    def __init__(self, stage: Stage, screen: Screen, citizens: int) -> None:
        self._stage = stage
        self._citizens = citizens
        self._screen = screen
        self._offices = Offices(stage, screen)
        self._told: list[Told] = []
        self._parameters = {name: Path(f"{name}.json") for name in TERMINALS}

    def tell(self) -> None:
        """Tell all of it."""
        self._open_centre()
        self._offices.prescribe()
        self._issue_cards()
        self._serve()
        self._begin_and_end()
        self._take_back()
        self._book()
        self._lose_an_answer()
        self._kill_the_centre()
        self._refuse_the_hostile()
        self._offices.change_rule(self._parameters["TX000001"])
        self._close_the_day()

    def _run(self, *words: str | Path, expect: tuple[int, ...] = (0,)) -> str:
        printed = self._stage.spk(*words, expect=expect)
        self._screen.command(tuple(str(word) for word in words), printed)
        return printed

    def _open_centre(self) -> None:
        stage, screen = self._stage, self._screen
        screen.part("Регион, ключи и центр", "A region, its keys and its centre")
        with screen.slow_step("база данных и её схема", "the database and its schema"):
            stage.spk("db", "start")
            stage.spk("db", "migrate")
        with screen.slow_step("жители и их права", "citizens and their rights"):
            words = ("region", "create", "--citizens", str(self._citizens), "--seed", "2026")
            rows = rows_of(stage.spk(*words))
        screen.command(words)
        self._tell_region(rows)
        with screen.slow_step("служба ключей и центр", "the key service and the centre"):
            stage.spk("hsm", "init", "--region", "99")
            stage.start("hsm", "hsm", "run")
            stage.start_centre()
            stage.spk("hsm", "export-public", "public")
        with screen.slow_step("терминалы получают ключи", "terminals get their keys"):
            station_token = stage.environment["SPK_STATION_TOKEN_FILE"]
            stage.spk("cards", "add-station", "station-1", "--token-file", station_token)
            for name in TERMINALS:
                stage.spk("terminals", "enrol", name, "--out", self._parameters[name])
        for name in TERMINALS[:1]:
            screen.command(("terminals", "enrol", name, "--out", str(self._parameters[name])))
        others = ", ".join(TERMINALS[1:])
        screen.note(screen.words(f"и так же {others}", f"and so for {others}"))
        write_settings(stage)

    def _tell_region(self, rows: dict[str, int]) -> None:
        citizens, households = rows["register.citizen"], rows["register.household"]
        prescriptions, terminals = rows["register.prescription"], rows["terminals.terminal"]
        self._screen.note(
            self._screen.words(
                f"жителей {citizens}, семей {households}, рецептов {prescriptions}, "
                f"терминалов {terminals}",
                f"{citizens} citizens, {households} households, {prescriptions} prescriptions, "
                f"{terminals} terminals",
            )
        )

    def _issue_cards(self) -> None:
        stage, screen = self._stage, self._screen
        screen.part("Карты", "Cards")
        over_pcsc = stage.open_readers(2)
        if over_pcsc and stage.readers is not None:
            names = ", ".join(stage.readers.names)
            screen.note(screen.words(f"считыватели PC/SC: {names}", f"PC/SC readers: {names}"))
        else:
            screen.note(
                screen.words(
                    "PC/SC здесь нет: карты вызываются внутри программы",
                    "no PC/SC here: the cards are called in process",
                )
            )
        stage.spk("card", "blank", "--drawer", stage.drawer, "--count", str(len(CAST)))
        for key, person in CAST.items():
            screen.caption(screen.words(person.ru, person.en))
            with stage.card_at_reader(person.card) as where:
                pin_file = f"{key}.pins"
                words = ("--snils", person.snils, *where, "--pin-file", pin_file)
                printed = stage.spk("card", "issue", *words, "--lang", screen.language)
            screen.command(("card", "issue", *words), printed.splitlines()[-1])
            written = (stage.home / f"{key}.pins").read_text("utf-8").split()
            pin = next(word for word in written if len(word) == 6 and word.isdigit())
            (stage.home / self._pin_file(key)).write_text(pin)

    def _serve(self) -> None:
        self._screen.part("День у терминалов", "A day at the terminals")
        self._run_scene_rights()
        for scene in SCENES:
            self._play(scene)
        self._wrong_pin()
        self._blocked_card()

    def _run_scene_rights(self) -> None:
        person = CAST["maria"]
        name = self._screen.words(person.ru, person.en)
        self._screen.caption(
            self._screen.words(f"{name}: что ей положено", f"{name}: what she is entitled to")
        )
        with self._stage.card_at_reader(person.card) as where:
            self._run("terminal", "rights", "--params", self._parameters["AP000001"], *where)

    def _play(self, scene: Scene) -> str:
        person = CAST[scene.who]
        words = self._screen.words
        self._screen.caption(f"{words(person.ru, person.en)}: {words(scene.ru, scene.en)}")
        with self._stage.card_at_reader(person.card) as where:
            command: tuple[str | Path, ...] = (
                "terminal",
                *scene.words,
                "--params",
                self._parameters[scene.terminal],
                *where,
            )
            if scene.pin:
                command = (*command, "--pin-file", self._pin_file(scene.who))
            printed = self._run(*command, expect=(0, 1, 2))
        if self._screen.words("РЕШЕНИЯ НЕТ", "NOT DECIDED") in printed:
            # A slow machine was longer about its restart than a terminal waits.
            parameters = self._parameters[scene.terminal]
            printed = self._run("terminal", "pending", "--params", parameters)
        self._expect(scene, printed)
        self._record(person, scene.terminal, scene.ru, scene.en, scene.outcome)
        return printed

    def _expect(self, scene: Scene, printed: str) -> None:
        usual = TEXTS[scene.outcome]
        text = self._screen.words(*(scene.told or (usual.ru, usual.en)))
        # A receipt breaks its lines, so blanks of any length count as one.
        if text.upper() not in " ".join(printed.upper().split()):
            raise StageError(
                f"expected {scene.outcome.name} ({text}), but the terminal printed:\n{printed}"
            )

    def _record(
        self, person: Person | None, where: str, ru: str, en: str, outcome: Outcome
    ) -> None:
        words = self._screen.words
        text = words(TEXTS[outcome].ru, TEXTS[outcome].en)
        who = "—" if person is None else words(person.ru, person.en)
        what = words(ru, en)
        good = outcome.approved or outcome is Outcome.RECORDED_IN_CONFLICT
        self._told.append(Told(who, where, what, f"{text} ({outcome.value})", good))

    def _pin_file(self, who: str) -> Path:
        """Return a file with nothing but the PIN that the station wrote down for this card."""
        return Path(f"{who}.pin")

    def _wrong_pin(self) -> None:
        person = CAST["tatiana"]
        wrong = "wrong.pin"
        self._screen.caption(self._screen.words("неверный ПИН-код", "a wrong PIN"))
        (self._stage.home / wrong).write_text("000000\n")
        with self._stage.card_at_reader(person.card) as where:
            self._run(
                *("terminal", "sell", "CERTIFICATE", "CARE.HOUR=1@420.00", *where),
                *("--params", self._parameters["SC000001"], "--pin-file", wrong),
                expect=(2,),
            )

    def _blocked_card(self) -> None:
        self._screen.caption(
            self._screen.words(
                "Нина Громова сообщает, что потеряла карту", "Nina Gromova says her card is lost"
            )
        )
        self._run("card", "block", self._guid("nina"), "--lang", self._screen.language)
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
        self._screen.part("Отмена", "A reversal")
        first = self._receipts("AP000001")[0]
        self._run(
            *("terminal", "reverse", first.stem, "--params", self._parameters["AP000001"]),
            expect=(0,),
        )
        ru, en = "эналаприл возвращён на остаток", "the enalapril goes back to the balance"
        self._record(None, "AP000001", ru, en, Outcome.APPROVED)
        self._run_scene_rights()

    def _begin_and_end(self) -> None:
        """Begin a service at home; claim more than passed; end it with what passed."""
        screen, parameters = self._screen, self._parameters["SC000001"]
        screen.part("Услуга с началом и окончанием", "A service with a start and a finish")
        self._play(HOME_VISIT)
        screen.caption(
            screen.words(
                "приписать 45 минут не выйдет: столько не прошло",
                "45 minutes cannot be claimed: they have not passed",
            )
        )
        person = CAST[HOME_VISIT.who]
        with self._stage.card_at_reader(person.card) as where:
            claimed = ("terminal", "visit", "finish", "HOME.CLEANING=45")
            self._run(*claimed, "--params", parameters, *where, expect=(2,))
        self._play(HOME_VISIT_ENDS)

    def _book(self) -> None:
        """Book a ride, and let the driver confirm it without the card; give medicine back."""
        screen, parameters = self._screen, self._parameters["TX000001"]
        screen.part("Заказать и вернуть", "Booked and brought back")
        self._play(TAXI)
        booked = self._receipts("TX000001")[-1].stem
        self._run("terminal", "reservations", "--params", parameters)
        screen.caption(
            screen.words(
                "поездка состоялась, карта не нужна", "the ride was had; no card is needed"
            )
        )
        given = self._run("terminal", "complete", booked, "--params", parameters)
        ru, en = "поездка на социальном такси", "a ride by social taxi"
        self._expect(TAXI, given)
        self._record(CAST["maria"], "TX000001", ru, en, Outcome.APPROVED)
        self._play(PRESCRIBED)
        self._play(
            Scene(
                "maria",
                "AP000001",
                ("return", self._receipts("AP000001")[-1].stem),
                Outcome.APPROVED,
                "упаковка сдана обратно в аптеку",
                "the pack is brought back to the pharmacy",
            )
        )
        screen.caption(
            screen.words("терминал меняет свой ключ на ходу", "a terminal changes its key")
        )
        self._run("terminal", "change-key", "--params", self._parameters["SC000001"])
        ru, en = "ключ терминала сменён по линии", "the terminal's key is changed over the line"
        self._record(None, "SC000001", ru, en, Outcome.APPROVED)

    def _over_failing_line(
        self, terminal: str, fault: Callable[[], None], scene: Scene, ru: str, en: str
    ) -> None:
        """Sell over a line that loses the sale's answer; the terminal asks again and is told."""
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
        self._tell_both_answers(terminal)
        self._stage.spk("terminals", "enrol", terminal, "--out", parameters, "--replace")
        person, where, what, outcome, good = self._told.pop()
        self._told.append(
            Told(person, where, f"{what}; {self._screen.words(ru, en)}", outcome, good)
        )

    def _tell_both_answers(self, terminal: str) -> None:
        """Show from the centre's log that one sale was asked for twice and answered alike."""
        sales = [
            entry
            for entry in self._stage.log_entries("centre")
            if (entry.get("terminal"), entry.get("kind")) == (terminal, "SALE")
        ]
        told = [(entry["stan"], entry["outcome"], entry["repeat"]) for entry in sales]
        if len(told) != 2 or told[0][:2] != told[1][:2] or not told[1][2]:
            raise StageError(f"the centre did not answer one sale twice alike: {told}")
        stan, outcome, _ = told[0]
        self._screen.note(
            self._screen.words(
                f"журнал центра: операция {stan} — {outcome}; повтор {stan} — {outcome}",
                f"the centre's log: sale {stan}: {outcome}; sale {stan} repeated: {outcome}",
            )
        )

    def _lose_an_answer(self) -> None:
        self._screen.part("Потерянный ответ", "A lost answer")
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
        self._screen.part("Убитый центр", "A killed centre")

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
        self._screen.part("Чужие и сломанные терминалы", "Hostile and broken terminals")
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
        self._screen.console.print(f"  {row.what} → {row.outcome}", highlight=False)

    def _parameters_of(self, terminal: str) -> ParameterFile:
        return ParameterFile.decode((self._stage.home / self._parameters[terminal]).read_bytes())

    def _guid(self, who: str) -> str:
        """Read the GUID of somebody's card."""
        with self._stage.card_at_reader(CAST[who].card) as where:
            shown = self._stage.spk("card", "show", *where, "--lang", "en")
        return next(word for word in shown.split() if len(word) == 36 and word.count("-") == 4)

    def _close_the_day(self) -> None:
        stage, screen = self._stage, self._screen
        screen.part("Конец дня", "The end of the day")
        days = set()
        for name in TERMINALS:
            words = ("terminal", "totals", "--params", str(self._parameters[name]))
            printed = stage.spk(*words)
            # One table shows what is compared; of the others the verdict is enough.
            shown = printed if name == TERMINALS[0] else printed.rstrip().splitlines()[-1]
            screen.command(words, shown)
            days |= {file.name[:8] for file in self._receipts(name)}
        day = max(days)
        day = f"{day[:4]}-{day[4:6]}-{day[6:]}"
        screen.caption(screen.words("выгрузка для бухгалтерии", "the export for finance"))
        self._run("export", "day", day, "--out", "day.csv", "--lang", screen.language)
        screen.caption(
            screen.words(
                "квитанцию проверяет кто угодно: нужен только открытый ключ центра",
                "anybody verifies a receipt with nothing but the centre's public key",
            )
        )
        some = self._receipts("AP000001")[0].relative_to(stage.home)
        key = Path("public") / "receipt-public-key.pem"
        self._run("receipt", "verify", some, "--key", key, "--lang", screen.language)

    def _receipts(self, terminal: str) -> list[Path]:
        """Return a terminal's receipt files, the oldest first."""
        folder = self._stage.home / f"{terminal}.state" / "receipts"
        return sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime)

    def closing_table(self) -> Table:
        """Return what happened, a row per deed."""
        ru = self._screen.language == "ru"
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
            screen = Screen(console, options.lang)
            demo = Demo(stage, screen, options.citizens)
            demo.tell()
    except StageError as error:
        console.print(f"[bold red]✗[/] {error}", highlight=False)
        return 1
    console.print()
    console.print(demo.closing_table())
    tell_how_to_go_on(screen, options.home.absolute(), time.monotonic() - started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
