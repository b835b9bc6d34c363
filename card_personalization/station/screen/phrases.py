"""What the station's screen says, in Russian and English."""

from __future__ import annotations

from enum import Enum

from card_personalization.chip.errors import Language


class Phrase(Enum):
    """One sentence or label; `say` fills its {facts} in."""

    TITLE = ("Станция персонализации", "Personalization station")
    NO_BATCH = (
        "Партии нет. F2 — взять партию, F3 — карта посетителю",
        "No batch. F2 takes one, F3 makes a visitor's card",
    )
    BATCH = ("Партия {name} · карт: {total}", "Batch {name} · {total} cards")
    PAUSED = ("ПАУЗА", "PAUSED")
    RESUMABLE = (
        "Не закончено карт: {count}. Вставьте их снова, они допишутся сами",
        "Cards not finished: {count}. Put them in again, they go on by themselves",
    )
    COUNTS = (
        "Готово {good} · Брак {spoiled} · Осталось {left}",
        "Good {good} · Spoiled {spoiled} · Left {left}",
    )
    RATE = ("{rate} карт/мин · ещё ≈ {time_left}", "{rate} cards/min · about {time_left} left")
    NO_RATE = ("скорость пока неизвестна", "no rate yet")
    BLANKS = ("Заготовок на столе: {count}", "Blanks at hand: {count}")
    MINUTES = ("{count} мин", "{count} min")
    HOURS = ("{hours} ч {minutes} мин", "{hours} h {minutes} min")
    LESS_THAN_A_MINUTE = ("меньше минуты", "less than a minute")
    MESSAGES = ("Сообщения", "Messages")
    LEAVING = ("Завершение: начатые карты дописываются", "Leaving: cards begun are finished")
    NO_MESSAGES = ("Ошибок нет.", "No faults.")

    WAITING = ("Вставьте карту", "Insert a card")
    IDLE = ("Ждёт партию", "Waits for a batch")
    WRITING = ("Пишется", "Writing")
    TAKE_OUT = ("Готова, выньте", "Done, take it out")
    FAULT = ("Отложите карту", "Set it aside")
    ABSENT = ("Нет считывателя", "Reader gone")
    STEP = ("{number}/{count}", "{number}/{count}")

    KEY_TAKE = ("Партия", "Batch")
    KEY_WALK_IN = ("Карта", "Card")
    KEY_PAUSE = ("Пауза", "Pause")
    KEY_FACE = ("Лицо", "Face")
    KEY_SPOILED = ("Брак", "Spoiled")
    KEY_CLOSE = ("Сверка", "Reconcile")
    KEY_LANGUAGE = ("English", "Русский")
    KEY_QUIT = ("Выход", "Quit")
    KEY_BACK = ("Назад", "Back")

    WALK_IN_TITLE = ("Карта посетителю", "A card for a visitor")
    WALK_IN_SNILS = ("СНИЛС посетителя", "The visitor's СНИЛС")
    WALK_IN_REPLACE = (
        "Заменить действующую карту (Tab, пробел — отметить)",
        "Replace the active card (Tab, then space ticks)",
    )
    WALK_IN_BEGIN = (
        "Проверьте паспорт. Введите СНИЛС и нажмите Enter.",
        "Check the passport. Key in the СНИЛС and press Enter.",
    )
    WALK_IN_INSERT = (
        "Вставьте чистую карту в любой свободный считыватель.",
        "Put a blank card into any free reader.",
    )
    WALK_IN_HAND_OVER = (
        (
            "Карта {number} записана и проверена. Отдайте под подпись карту и ПИН-конверт, "
            "если он печатался, затем нажмите Enter."
        ),
        (
            "Card {number} is written and checked. Hand over the card, and its PIN mailer "
            "if one was printed, against a signature, then press Enter."
        ),
    )
    WALK_IN_DONE = (
        "Карта {number} выдана и действует.",
        "Card {number} is handed over and active.",
    )
    WALK_IN_NOT_YET = ("Карта ещё пишется.", "The card is still being written.")

    FACE_TITLE = ("Лицо карты", "The card's face")
    FACE_WHOSE = (
        "Считыватель (1–16), карта которого пишется, и Enter",
        "The reader (1–16) whose card is being written, and Enter",
    )
    FACE_NONE = ("В этом считывателе сейчас не пишется карта.", "No card is written there now.")
    FACE_FRONT = ("Лицевая сторона", "Front")
    FACE_BACK = ("Оборот", "Back")
    FACE_SAVED = (
        "Сохранено: {path}. Удалите файл, когда карта напечатана.",
        "Saved: {path}. Delete the file when the card is printed.",
    )
    FACE_SAVE = (
        "F4 — сохранить PDF и PNG для принтера карт",
        "F4 saves PDF and PNG for the card printer",
    )

    SPOILED_TITLE = ("Брак", "Spoiled cards")
    SPOILED_NONE = ("Испорченных карт нет.", "No card is spoiled.")

    CLOSE_TITLE = ("Сверка заготовок", "Reconciliation of blanks")
    CLOSE_ASK = (
        "Пересчитайте чистые карты на столе. Сколько их? Введите число и Enter.",
        "Count the blank cards at hand. How many? Key in the number and press Enter.",
    )
    CLOSE_BLANKS = ("Получено заготовок", "Blanks in")
    CLOSE_GOOD = ("Годных карт", "Good cards")
    CLOSE_SPOILED = ("Испорчено", "Spoiled")
    CLOSE_LEFT = ("Осталось чистых", "Blanks left")
    CLOSE_DIFFERENCE = ("Расхождение", "Difference")
    CLOSE_AGREES = (
        "СХОДИТСЯ: {blanks} = {good} + {spoiled} + {left}. Смена закрыта и записана.",
        "IT ADDS UP: {blanks} = {good} + {spoiled} + {left}. The shift is closed and on record.",
    )
    CLOSE_DIFFERS = (
        "НЕ СХОДИТСЯ на {difference}. Смена не закрыта: пересчитайте карты, проверьте брак.",
        "IT DOES NOT ADD UP by {difference}. Not closed: count again, look at the spoiled ones.",
    )
    NOT_A_NUMBER = ("Нужно целое число.", "It takes a whole number.")
    BUSY = ("Сначала дождитесь конца начатых карт.", "Wait for the cards under way first.")

    def say(self, language: Language, **facts: object) -> str:
        """The phrase in a language."""
        ru, en = self.value
        return (ru if language == "ru" else en).format_map(facts)


def time_words(seconds: float, language: Language) -> str:
    """Return how long that is, as people say it: to the minute, rounded up."""
    minutes = int(-(-seconds // 60))
    if seconds < 60:
        return Phrase.LESS_THAN_A_MINUTE.say(language)
    if minutes < 60:
        return Phrase.MINUTES.say(language, count=minutes)
    return Phrase.HOURS.say(language, hours=minutes // 60, minutes=minutes % 60)
