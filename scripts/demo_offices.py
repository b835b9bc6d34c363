"""What offices do in the demonstration: the register learns of a right, a city changes a rule."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Final

from processing.kernel.clock import SystemClock
from processing.regulations import catalogue
from scripts.demo_screen import Screen
from scripts.demo_stage import Stage, StageError
from scripts.demo_story import CAST

_CATALOGUE: Final = Path(catalogue.__path__[0])
_BEFORE: Final = "social_taxi.toml"
_AFTER: Final = "social_taxi_2.toml"
_REQUEST: Final = re.compile(r"[0-9]+")


class Offices:
    """Two clerks of the register and two of the city, at their commands."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        self._stage = stage
        self._screen = screen
        self._today = SystemClock(stage.environment["SPK_TIME_ZONE"]).local_date()

    def _run(self, *words: str, expect: tuple[int, ...] = (0,)) -> str:
        # These programs speak Russian unless told otherwise.
        words = words if self._screen.language == "ru" else (*words, "--lang", "en")
        printed = self._stage.spk(*words, expect=expect)
        self._screen.command(words, printed)
        return printed

    def _say(self, ru: str, en: str) -> None:
        self._screen.caption(self._screen.words(ru, en))

    def prescribe(self) -> None:
        """Find Maria in the register, with a typo, and give her a prescription, by two persons."""
        self._screen.part("Регистр", "The register")
        words = self._screen.words
        self._say("найти человека: с опечаткой тоже", "find a person, a typo does not matter")
        why = words("новый рецепт", "a new prescription")
        self._run("register", "find", "--name", "Сокалова Мария", "--by", "olga", "--purpose", why)
        self._say(
            "право даёт второй человек: одна вносит рецепт, другой утверждает",
            "rights take two: one enters a prescription, another approves",
        )
        values = {
            ("СНИЛС", "snils"): CAST["maria"].snils,
            ("Серия", "series"): "9926",
            ("Номер", "number"): "9999999990",
            ("МНН", "item_class"): "BISOPROLOL",
            ("Количество", "quantity"): "2",
            ("Бюджет", "funding"): "federal",
            ("Оплата", "payment_percent"): "0",
            ("Дата выписки", "prescribed_on"): f"{self._today}",
            ("Срок действия", "valid_days"): "30",
        }
        named = ((words(*names), value) for names, value in values.items())
        pairs = [word for name, value in named for word in ("--set", f"{name}={value}")]
        reason = words("рецепт врача", "prescribed today")
        change = ("register", "change", "prescription", "new", *pairs)
        proposed = self._run(*change, "--by", "olga", "--reason", reason)
        number = _REQUEST.search(proposed)
        if number is None:
            raise StageError(f"no request was made:\n{proposed}")
        self._run("register", "approve", number[0], "--by", "olga", expect=(2,))
        self._run("register", "approve", number[0], "--by", "ivan")

    def change_rule(self, parameters: Path) -> None:
        """Let the city pay the whole of a taxi ride, from tomorrow on; a terminal learns of it."""
        self._screen.part("Новое правило", "A new rule")
        tomorrow = self._today + timedelta(days=1)
        before = (_CATALOGUE / _BEFORE).read_text("utf-8")
        (self._stage.home / _BEFORE).write_text(before, "utf-8")
        (self._stage.home / _AFTER).write_text(_whole_price(before, f"{tomorrow}"), "utf-8")
        self._say(
            "город будет платить за такси полностью: новая редакция документа",
            "the city will pay a taxi ride in full: a new version of the document",
        )
        self._run("regulation", "diff", _BEFORE, _AFTER)
        self._say(
            "чего это стоило бы: прошлые поездки ещё раз, по проекту",
            "what it would have cost: past rides once more, under the draft",
        )
        day = f"{self._today}"
        self._run("regulation", "replay", _AFTER, "--from", day, "--to", day)
        self._say(
            "одна вносит, другой утверждает; терминал узнаёт сам",
            "one proposes, another approves; the terminal learns of it",
        )
        self._run("regulation", "publish", _AFTER, "--by", "anna")
        self._run("regulation", "approve", "SOCIAL.TAXI", "2", "--by", "boris")
        words = ("terminal", "sign-on", "--params", str(parameters))
        printed = self._stage.spk(*words)
        self._screen.command(words, printed)
        if "SOCIAL.TAXI" not in printed or f"{tomorrow:%d.%m.%Y}" not in printed:
            raise StageError(f"the terminal did not learn of the new rule:\n{printed}")


def _whole_price(document: str, first_day: str) -> str:
    """Return version 2 of the taxi's regulation: the whole price up to the cap."""
    for before, after in (
        ("version = 1", "version = 2"),
        ("valid_from = 2026-01-01", f"valid_from = {first_day}"),
        ("percent = 90", "percent = 100"),
        ("город платит девять десятых цены, но не", "город платит всю цену, но не"),
        ("the city pays nine tenths of the price up", "the city pays the whole price up"),
        ("город платит 342", "город платит 380"),
        ("covered_kopecks = [34_200]", "covered_kopecks = [38_000]"),
        ("покрывается девять десятых от 450 рублей", "покрывается 450 рублей"),
        ("covered_kopecks = [40_500]", "covered_kopecks = [45_000]"),
    ):
        if before not in document:
            raise StageError(f"the taxi's regulation does not say: {before}")
        document = document.replace(before, after)
    return document
