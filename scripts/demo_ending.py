"""How to go on after the demonstration: a file of settings, and the commands that use it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from rich.text import Text

from scripts.demo_screen import Screen
from scripts.demo_stage import Stage, spk_program

SETTINGS_FILE: Final = "env.sh"
"""Sourced by a shell, it points every `spk` command at the demonstration's folder."""

_PRIVATE: Final = 0o600
_KEEP: Final = ("SPK_TIME_ZONE", "SPK_TERMINAL_LANG", "SPK_CENTRE", "SPK_STATION_TOKEN_FILE")


def write_settings(stage: Stage) -> None:
    """Write the settings that the demonstration ran with, the passphrase of its keys too.

    A trial's keys protect nothing; a real centre keeps its passphrase away from its key file.
    """
    names = ("SPK_HOME", "SPK_HSM_PASSPHRASE", "SPK_ISO8583_LISTEN", "SPK_HTTP_LISTEN", *_KEEP)
    lines = [f"export {name}={shlex.quote(stage.environment[name])}" for name in names]
    lines.append(f'export PATH={shlex.quote(str(Path(spk_program()).parent))}:"$PATH"')
    path = stage.home / SETTINGS_FILE
    path.touch(_PRIVATE)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def tell_how_to_go_on(screen: Screen, home: Path, seconds: float) -> None:
    """Print where everything lies and the commands that start the centre there again."""
    words = screen.words
    screen.part("Как продолжить", "How to go on")
    screen.console.print(
        Text(
            words(
                f"Всё показано за {seconds:.0f} с. Центр, служба ключей и база остановлены; "
                "данные остались в папке:",
                f"All of this took {seconds:.0f} s. The centre, the key service and the database "
                "are stopped; the data stay in this folder:",
            )
        )
    )
    screen.console.print(Text(f"  {home}", style="bold"))
    for name, meaning in (
        ("day.csv", words("операции дня для бухгалтерии", "the day's transactions for finance")),
        (
            "AP000001.state/receipts/",
            words("подписанные квитанции терминала", "the terminal's signed receipts"),
        ),
        ("public/", words("ключ для их проверки", "the key that verifies them")),
        ("drawer/", words("программные карты", "the software cards")),
        ("centre.log, hsm.log", words("журналы программ", "the programs' logs")),
    ):
        screen.console.print(Text(f"    {name:26}{meaning}"))
    screen.console.print()
    screen.console.print(Text(words("Запустить центр снова:", "Start the centre again:")))
    for line in _commands(screen, home):
        screen.console.print(Text(f"  {line}", style="cyan"), soft_wrap=True)
    screen.console.print(
        Text(
            words(
                "Дальше: README.ru.md — карта дома, docs/wire.md — подключить свой терминал. "
                "Следующий запуск scripts/demo создаст папку заново.",
                "Next: README.md is the map of the house, docs/wire.md connects a terminal of "
                "your own. The next scripts/demo makes the folder anew.",
            )
        )
    )


def _commands(screen: Screen, home: Path) -> tuple[str, ...]:
    words = screen.words
    first = words("# права Марии", "# Maria's rights")
    serve = words("# касса: карта за картой", "# a till: card after card")
    return (
        f"cd {shlex.quote(str(home))} && . ./{SETTINGS_FILE}",
        "spk hsm run 2>>hsm.log &",
        "spk centre run 2>>centre.log &",
        f"spk terminal rights --params AP000001.json --soft drawer/card-0001.card   {first}",
        f"spk terminal serve --params AP000001.json --soft drawer/card-0001.card   {serve}",
        f"kill %2 %1; wait; spk db stop   {words('# остановить всё', '# stop everything')}",
    )
