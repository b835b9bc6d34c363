"""The life of a card: its stages, the legal steps between them, and why another is refused.

`cards.stage` and `cards.transition_rule` hold the same lists for the database, which decides
(`cards.move_card`); a test compares them.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from processing.cards.model import CardCode


class Stage(IntEnum):
    """Where a card is in its life (`cards.stage`)."""

    STOCK = 1
    KEYED = 2
    LOADED = 3
    LOCKED = 4
    VERIFIED = 5
    ISSUED = 6
    ACTIVE = 7
    SUSPENDED = 8
    REPLACED = 9
    REVOKED = 10
    EXPIRED = 11
    DESTROYED = 12

    @property
    def state(self) -> CardCode | None:
        """What the engine sees of a card in this stage; None: what it saw before."""
        return STATES.get(self)

    @property
    def ru(self) -> str:
        """The stage in Russian, after "карта"."""
        return _WORDS[self][0]

    @property
    def en(self) -> str:
        """The stage in English, after "the card"."""
        return _WORDS[self][1]


class Right(StrEnum):
    """What a transition or an act of the office needs (`cards.right_of_role` says who has it)."""

    APPLY = "cards.apply"
    APPROVE = "cards.approve"
    WALK_IN = "cards.walk_in"
    BATCH = "cards.batch"
    COUNT_BLANKS = "cards.count_blanks"
    WRITE = "cards.write"
    ISSUE = "cards.issue"
    HAND_OVER = "cards.hand_over"
    SUSPEND = "cards.suspend"
    RESTORE = "cards.restore"
    REPLACE = "cards.replace"
    REVOKE = "cards.revoke"
    EXPIRE = "cards.expire"
    DESTROY = "cards.destroy"


class Medium(IntEnum):
    """What a card is (`cards.card.medium`)."""

    CHIP = 1
    CODE = 2


class MoveResult(IntEnum):
    """What `cards.move_card` returns."""

    MOVED = 1
    THERE_ALREADY = 2
    ILLEGAL = 3
    CARD_UNKNOWN = 4
    RIGHT_MISSING = 5
    OTHER_ACTIVE = 6
    NOT_WRITTEN = 7


class Move(msgspec.Struct, frozen=True):
    """A step that was asked for, what became of it, and where the card was before."""

    to: Stage
    result: MoveResult
    before: Stage | None

    @property
    def done(self) -> bool:
        """Whether the card is where it was asked to be."""
        return self.result in (MoveResult.MOVED, MoveResult.THERE_ALREADY)

    @property
    def ru(self) -> str:
        """What became of it, a sentence in Russian."""
        return _sentence(self, 0)

    @property
    def en(self) -> str:
        """What became of it, a sentence in English."""
        return _sentence(self, 1)


STATES: Final = {
    Stage.ISSUED: CardCode.BLOCKED,
    Stage.ACTIVE: CardCode.ACTIVE,
    Stage.SUSPENDED: CardCode.BLOCKED,
    Stage.REPLACED: CardCode.REPLACED,
    Stage.REVOKED: CardCode.BLOCKED,
    Stage.EXPIRED: CardCode.BLOCKED,
}

_AFTER_ACTIVE: Final = {
    (Stage.ACTIVE, Stage.SUSPENDED): Right.SUSPEND,
    (Stage.ACTIVE, Stage.REPLACED): Right.REPLACE,
    (Stage.ACTIVE, Stage.REVOKED): Right.REVOKE,
    (Stage.ACTIVE, Stage.EXPIRED): Right.EXPIRE,
    (Stage.SUSPENDED, Stage.ACTIVE): Right.RESTORE,
    (Stage.SUSPENDED, Stage.REPLACED): Right.REPLACE,
    (Stage.SUSPENDED, Stage.REVOKED): Right.REVOKE,
    (Stage.SUSPENDED, Stage.EXPIRED): Right.EXPIRE,
}

RULES: Final = {
    Medium.CHIP: {
        (Stage.STOCK, Stage.KEYED): Right.WRITE,
        (Stage.KEYED, Stage.LOADED): Right.WRITE,
        (Stage.LOADED, Stage.LOCKED): Right.WRITE,
        (Stage.LOCKED, Stage.VERIFIED): Right.WRITE,
        (Stage.VERIFIED, Stage.ISSUED): Right.ISSUE,
        (Stage.ISSUED, Stage.ACTIVE): Right.HAND_OVER,
        # Spoiled while it was written.
        (Stage.STOCK, Stage.DESTROYED): Right.WRITE,
        (Stage.KEYED, Stage.DESTROYED): Right.WRITE,
        (Stage.LOADED, Stage.DESTROYED): Right.WRITE,
        (Stage.LOCKED, Stage.DESTROYED): Right.WRITE,
        (Stage.VERIFIED, Stage.DESTROYED): Right.WRITE,
        (Stage.ISSUED, Stage.REVOKED): Right.REVOKE,
        (Stage.ISSUED, Stage.EXPIRED): Right.EXPIRE,
        **_AFTER_ACTIVE,
        (Stage.REPLACED, Stage.DESTROYED): Right.DESTROY,
        (Stage.REVOKED, Stage.DESTROYED): Right.DESTROY,
        (Stage.EXPIRED, Stage.DESTROYED): Right.DESTROY,
    },
    Medium.CODE: {(Stage.STOCK, Stage.ACTIVE): Right.ISSUE, **_AFTER_ACTIVE},
}
"""The legal transitions by medium, with the right that each needs. Every other is refused."""

_WORDS: Final = {
    Stage.STOCK: ("ещё не записана", "is not written yet"),
    Stage.KEYED: ("получила ключи", "has its keys"),
    Stage.LOADED: ("получила данные", "has its data"),
    Stage.LOCKED: ("закрыта для записи", "is locked"),
    Stage.VERIFIED: ("проверена", "is verified"),
    Stage.ISSUED: ("выпущена и ждёт вручения", "is issued and waits to be handed over"),
    Stage.ACTIVE: ("действует", "is active"),
    Stage.SUSPENDED: ("приостановлена", "is suspended"),
    Stage.REPLACED: ("заменена", "is replaced"),
    Stage.REVOKED: ("отозвана", "is revoked"),
    Stage.EXPIRED: ("просрочена", "is expired"),
    Stage.DESTROYED: ("уничтожена", "is destroyed"),
}

_RESULTS: Final = {
    MoveResult.MOVED: ("карта {to_ru}", "the card {to_en}"),
    MoveResult.THERE_ALREADY: ("карта уже {to_ru}", "the card {to_en} already"),
    MoveResult.ILLEGAL: (
        "карта {from_ru}: из этого состояния нельзя перейти в состояние «{to_ru}»; можно: {can_ru}",
        "the card {from_en}: from there it cannot come to be one that {to_en}; it can: {can_en}",
    ),
    MoveResult.CARD_UNKNOWN: (
        "такой карты нет; её идентификатор показывает spk card show",
        "there is no such card; spk card show reads its GUID off the card",
    ),
    MoveResult.RIGHT_MISSING: (
        "карта {from_ru}; у этой роли нет права перевести её в состояние «{to_ru}»",
        "the card {from_en}; this role has no right to make it one that {to_en}",
    ),
    MoveResult.OTHER_ACTIVE: (
        "у гражданина действует другая карта: две сразу не действуют, сначала отзовите ту",
        "the citizen has another active card: two are never active at once, revoke that one first",
    ),
    MoveResult.NOT_WRITTEN: (
        "станция ещё не сообщила о записи карты: выпускать нечего",
        "the station has not reported the card as written: there is nothing to issue",
    ),
}


def next_stages(medium: Medium, before: Stage) -> tuple[Stage, ...]:
    """Return the stages that a card may come to from `before`, in their order."""
    return tuple(sorted(to for start, to in RULES[medium] if start is before))


def _sentence(move: Move, language: int) -> str:
    before = move.before or Stage.STOCK
    can = next_stages(Medium.CHIP, before)
    return _RESULTS[move.result][language].format(
        to_ru=move.to.ru,
        to_en=move.to.en,
        from_ru=before.ru,
        from_en=before.en,
        can_ru=", ".join(f"«{stage.ru}»" for stage in can) or "никуда",
        can_en=", ".join(stage.name.lower() for stage in can) or "nowhere",
    )
