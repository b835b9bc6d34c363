"""Several databases: which engine decides a request, and what an engine asks of the others.

Every target has an engine of its own, with its queue, its lane and its connections, so that no
batch crosses targets and one that is away holds up nobody but its own buckets. A request goes to
the target that serves its rights holder; there is everything it takes to decide it, the public
keys of every card included.

What one database tells at once by its primary key, several cannot: that a terminal used one number
for two holders whose targets differ. `RecentKeys` catches it where the first decision is still
remembered; `processing.journal.key_audit` finds all of it (docs/architecture.md).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, Protocol
from uuid import UUID

from processing.authorization.model import Asker, CardKey
from processing.authorization.proof import CardCache
from processing.authorization.store import AuthorizationStore
from processing.kernel.bucket import bucket_of
from processing.kernel.errands import Errands
from processing.kernel.errors import DatabaseError
from processing.kernel.target_pools import TargetPools
from processing.kernel.targets import HOME, TargetMap
from processing.wire.outcome import Outcome
from processing.wire.transaction import (
    NO_HOLDER,
    RIGHTS_MAX,
    Answer,
    Request,
    Right,
    TransactionKey,
)

RECENT_KEYS_MAX: Final = 65_536
"""Most decided keys that a worker remembers with their target (about 200 bytes each)."""


class Decider(Protocol):
    """What decides requests: the engine of the only target, or `Targets`."""

    def authorize(self, request: Request, first_right: int, asker: Asker) -> None:
        """Decide a request; tell the asker, now or later."""


class Targets:
    """Hands each request to the engine of the target that serves its holder."""

    def __init__(
        self, targets: TargetMap, engines: Mapping[int, Decider], cards: CardCache
    ) -> None:
        self._map = targets
        self._engines = engines
        self._cards = cards
        self._keys = RecentKeys()
        self._errands = Errands()

    async def drain(self) -> None:
        """Hand on what was accepted."""
        await self._errands.done()

    def authorize(self, request: Request, first_right: int, asker: Asker) -> None:
        """As `Engine.authorize`. `KEY_REUSED` when the key was decided in another target."""
        if request.holder_id != NO_HOLDER:
            self._hand_on(request.holder_id, request, first_right, asker)
        elif (card := self._cards.known(request.card_id)) is not None:
            self._hand_on(card.key.holder_id, request, first_right, asker)
        else:
            self._errands.start(self._look_up_holder(request, first_right, asker))

    async def _look_up_holder(self, request: Request, first_right: int, asker: Asker) -> None:
        """Go on with an inquiry that names no holder: it is its card's own."""
        try:
            card = await self._cards.card(request.card_id)
        except Exception:
            # The card cannot be looked up now; the engine would say the same.
            asker.answered(Answer(outcome=Outcome.TRY_LATER, key=request.key))
            return
        holder_id = NO_HOLDER if card is None else card.key.holder_id
        self._hand_on(holder_id, request, first_right, asker)

    def _hand_on(self, holder_id: bytes, request: Request, first_right: int, asker: Asker) -> None:
        number = self._map.number_of(bucket_of(holder_id))
        refusal = None if request.advice else self._keys.refusal(request.key, number)
        if refusal is not None:
            asker.answered(Answer(outcome=refusal, key=request.key))
            return
        witness = KeyWitness(self._keys, number, asker)
        self._keys.begin(request.key, number)
        try:
            self._engines[number].authorize(request, first_right, witness)
        except Exception:
            self._keys.end(request.key, number, decided=False)
            raise


class KeyWitness:
    """The asker between an engine and whoever asked: notes which target decided the key."""

    __slots__ = ("_asker", "_keys", "_number")

    def __init__(self, keys: RecentKeys, number: int, asker: Asker) -> None:
        self._keys = keys
        self._number = number
        self._asker = asker

    def answered(self, answer: Answer) -> None:
        """Take the answer and pass it on."""
        self._keys.end(answer.key, self._number, decided=answer.decision is not None)
        self._asker.answered(answer)


class RecentKeys:
    """Which target decided a key lately, and which is deciding it now.

    An advice is not asked about: it tells what happened and is recorded where its holder is.
    """

    def __init__(self, keys_max: int = RECENT_KEYS_MAX) -> None:
        self._keys_max = keys_max
        self._decided: OrderedDict[TransactionKey, int] = OrderedDict()
        self._deciding: dict[TransactionKey, list[int]] = {}

    def __len__(self) -> int:
        return len(self._decided)

    def refusal(self, key: TransactionKey, number: int) -> Outcome | None:
        """Return what a request under `key` for target `number` is told; None: let it be decided.

        While another target decides the key, nobody knows yet whether it will be taken.
        """
        if self._decided.get(key, number) != number:
            return Outcome.KEY_REUSED
        if any(other != number for other in self._deciding.get(key, ())):
            return Outcome.TRY_LATER
        return None

    def begin(self, key: TransactionKey, number: int) -> None:
        """Take note that target `number` begins to decide a request under `key`."""
        self._deciding.setdefault(key, []).append(number)

    def end(self, key: TransactionKey, number: int, *, decided: bool) -> None:
        """Take note that it ended, with a stored decision or without."""
        under_way = self._deciding[key]
        under_way.remove(number)
        if not under_way:
            del self._deciding[key]
        if decided:
            self._decided[key] = number
            self._decided.move_to_end(key)
            if len(self._decided) > self._keys_max:
                self._decided.popitem(last=False)


class TargetStore(AuthorizationStore):
    """What the engine of one target reads and writes: its own database, and a few looks beyond."""

    def __init__(self, targets: TargetPools, number: int) -> None:
        super().__init__(targets.pools[number])
        self._number = number
        self._stores = {n: AuthorizationStore(pool) for n, pool in targets.pools.items()}

    async def card_key(self, card_id: bytes) -> CardKey | None:
        """As `AuthorizationStore.card_key`.

        A card that is not here may have been issued a moment ago: home knows. While home is away
        no card is unknown.
        """
        found = await super().card_key(card_id)
        if found is None and self._number != HOME:
            found = await self._stores[HOME].card_key(card_id)
        return found

    async def rights(
        self, request: Request, own_holder: UUID, decided_at_ms: int, first_right: int
    ) -> tuple[list[Right], bool]:
        """As `AuthorizationStore.rights`, over all targets in one order: own, then by holder.

        While a target is away the rights of the card's own holder are shown, which come first,
        and that more follow; who asks for those is told to try later.
        """
        wanted = first_right + RIGHTS_MAX + 1
        asked = await asyncio.gather(
            *(
                store.rights_from(request, own_holder, decided_at_ms, 0, wanted)
                for store in self._stores.values()
            ),
            return_exceptions=True,
        )
        found: list[Right] = []
        faults: list[BaseException] = []
        for one in asked:
            if isinstance(one, BaseException):
                faults.append(one)
            else:
                found += one
        own = own_holder.bytes
        if faults:
            page = [right for right in found if right.holder_id == own][first_right:]
            if not page or not all(isinstance(fault, DatabaseError) for fault in faults):
                raise faults[0]
            return page[:RIGHTS_MAX], True
        # A holder's rights come from one target in their order, which a stable sort keeps.
        found.sort(key=lambda right: (right.holder_id != own, right.holder_id))
        page = found[first_right:wanted]
        return page[:RIGHTS_MAX], len(page) > RIGHTS_MAX


async def card_key_anywhere(targets: TargetPools, card_id: bytes) -> CardKey | None:
    """Return a card's keys from home or, while home is away, from a target that has a copy.

    Raises what home raised when no copy is found: the card may be newer than the copies.
    """
    try:
        return await AuthorizationStore(targets.home).card_key(card_id)
    except DatabaseError as error:
        fault = error
    for pool in targets.elsewhere.values():
        with contextlib.suppress(DatabaseError):
            if found := await AuthorizationStore(pool).card_key(card_id):
                return found
    raise fault
