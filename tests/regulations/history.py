"""Random histories of every kind of transaction over ten days, decided by the engine and kept."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from processing.authorization.model import Case, Proof
from tests.authorization.world import (
    BLOCKED_CARD,
    BLOCKED_TERMINAL,
    CARD,
    CHILD,
    HOLDER,
    NOW,
    OTHER_CARD,
    OTHER_TERMINAL,
    TERMINAL,
    Centre,
    completion,
    goods_back,
    grant,
    inquiry,
    pills,
    reserve,
    reversal,
    sale,
)

DAYS = 10


class History:
    """Decides one random step after the other; `centre` acts on a database whose world is built.

    Of several databases it serves the `holders`.
    """

    def __init__(
        self, centre: Centre, seed: int, holders: Sequence[UUID] = (HOLDER, CHILD)
    ) -> None:
        self.centre = centre
        self.holders = holders
        self.chance = random.Random(seed)
        self.stan = 0
        self.now = NOW
        self.past: list[Case] = []

    async def live(self, steps: int) -> None:
        """Grant a few rights and live through `steps` batches."""
        for holder in self.holders:
            for measure, period in (("FULL", 2), ("HALFCAP", 3), ("HALF", 0)):
                granted = self.chance.randrange(5, 40)
                await grant(
                    self.centre.connection, "PILL", granted, measure, holder=holder, period=period
                )
        for _ in range(steps):
            self.now += timedelta(minutes=self.chance.randrange(2 * DAYS * 1440 // steps))
            if self.chance.random() < 0.15:
                await self._expire()
                continue
            cases = [self._case() for _ in range(self.chance.choice([1, 1, 2, 5]))]
            await self.centre.decide(*cases, at=self.now, posting=self.now.date())
            self.past += cases

    def _case(self) -> Case:
        self.stan += 1
        kinds: list[Callable[[], Case]] = [self._new, self._new, self._new, self._unhappy]
        if self.past:
            kinds += [self._sequel, self._sequel, self._before_its_original]
        return self.chance.choice(kinds)()

    def _new(self) -> Case:
        lines = [
            pills(self.chance.randrange(1, 6), self.chance.randrange(1, 20_000))
            for _ in range(self.chance.choice([1, 1, 2]))
        ]
        make = self.chance.choice([sale, sale, reserve])
        return make(self.stan, *lines, **self._told())

    def _told(self) -> dict[str, Any]:
        service = self.chance.choice(["MED", "MED", "PART", "MONEY"])
        late = self.chance.random() < 0.2
        signed: datetime = self.now - timedelta(minutes=600) if late else self.now
        return {
            "service": service,
            "card": self.chance.choice([CARD, CARD, OTHER_CARD]),
            "holder": self.holders[0 if self.chance.random() < 0.7 else -1],
            "terminal": self.chance.choice([TERMINAL, OTHER_TERMINAL]),
            "business_date": signed.date(),
            "signed_at": signed,
            "advice": late,
            "nonce": self.stan,
        }

    def _unhappy(self) -> Case:
        """Return what is refused by something else than the regulation, or a reused number."""
        wrong: dict[str, Any] = self.chance.choice(
            [
                {"card": BLOCKED_CARD},
                {"terminal": BLOCKED_TERMINAL},
                {"proof": Proof.WRONG},
                {"version": 99},
                {"service": "AWAY"},
                {"reuse": True},
                {"inquiry": True},
            ]
        )
        if wrong.pop("inquiry", False):
            when: dict[str, Any] = {"signed_at": self.now, "business_date": self.now.date()}
            return inquiry(self.stan, holder=self.holders[0], **when)
        told = self._told() | wrong
        if told.pop("reuse", False) and self.past:
            # A terminal that lost its state: an advice under a number that is taken.
            key = self.chance.choice(self.past).request.key
            told |= {
                "advice": True,
                "terminal": key.terminal_id,
                "business_date": self.now.date(),
            }
            return sale(key.stan, pills(1, 777), **told)
        return sale(self.stan, pills(1, 1_000), **told)

    def _sequel(self) -> Case:
        original = self.chance.choice(self.past[-30:])
        told = {
            "signed_at": self.now,
            "business_date": self.now.date(),
            "nonce": self.stan,
            "service": original.request.service,
        }
        line = pills(self.chance.randrange(4), self.chance.randrange(5_000))
        match self.chance.randrange(3):
            case 0:
                return reversal(self.stan, original, **told)
            case 1:
                return goods_back(self.stan, original, line, **told)
            case _:
                return completion(self.stan, original, line, **told)

    def _before_its_original(self) -> Case:
        """Return a reversal of what never came."""
        missing = sale(900_000 + self.stan, pills(1, 1), **self._told())
        return reversal(
            self.stan,
            missing,
            signed_at=self.now,
            business_date=self.now.date(),
            service=missing.request.service,
        )

    async def _expire(self) -> None:
        ended = await self.centre.connection.fetchval(
            "SELECT engine.expire($1, $2, $3, $4, 99)",
            self.centre.lane,
            self.centre.block,
            self.now,
            self.now.date(),
        )
        self.centre.block += ended > 0
