"""The station's side of the issuing API: a blocking HTTP client that repeats what may be repeated.

Every request of the API may be sent again: an order left behind never becomes a card, and the same
report gets the same answer (docs/issuing.md).
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import msgspec

from card_personalization.station.faults import (
    CentreAway,
    CentreRefused,
    StationError,
    StationFault,
)
from processing.wire.api import (
    REASON_LENGTH_MAX,
    CardOrder,
    CardPassport,
    CardStatus,
    IssuedCard,
    IssueReport,
    OrderRequest,
    OwnPinReport,
    PinChallenge,
    Problem,
    ProblemType,
)
from processing.wire.batches import (
    BatchList,
    BlankBalance,
    BlankCount,
    CardBatch,
    CardFace,
    FaceRequest,
    OrderPage,
    OrderStage,
    SpoiledReport,
    StageReport,
    WrittenStage,
)

TIMEOUT_MS: Final = 10_000
"""Longest wait for one answer of the centre."""
ATTEMPTS_MAX: Final = 3
PAUSE_MS: Final = 500
"""Pause before a request is sent again; doubled each time."""
ANSWER_BYTES_MAX: Final = 64 * 1024
PAGES_MAX: Final = 1_000
"""Most pages of one batch's orders."""
TOKEN_BYTES_MAX: Final = 256

T = TypeVar("T", bound=msgspec.Struct)


class CentreClient:
    """One station's way to the centre. Methods raise `CentreAway` and `CentreRefused`."""

    def __init__(
        self, address: str, token: str, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        _require_safe(address)
        self._address = address.rstrip("/")
        self.station = token.partition(".")[0]
        self._pause = pause
        self._http = httpx.Client(
            base_url=f"{self._address}/issuing/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_MS / 1000,
            # A proxy of the environment must not see the token.
            trust_env=False,
        )

    def __repr__(self) -> str:
        """Name the address, never the token."""
        return f"CentreClient({self._address!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def order(self, request: OrderRequest) -> CardOrder:
        """Order one card."""
        return self._ask("POST", "/orders", CardOrder, request)

    def read_order(self, order_id: UUID) -> CardOrder:
        """Return an order of this station."""
        return self._ask("GET", f"/orders/{order_id}", CardOrder)

    def give_up(self, order_id: UUID) -> CardOrder:
        """Give an order up, so that no card can be linked to it."""
        return self._ask("DELETE", f"/orders/{order_id}", CardOrder)

    def report(self, order_id: UUID, report: IssueReport) -> IssuedCard:
        """Report a written card; from the answer on it counts."""
        return self._ask("POST", f"/orders/{order_id}/card", IssuedCard, report)

    def spoiled(self, order_id: UUID, reason: str) -> CardOrder | None:
        """Tell of a spoiled card; the fresh order in its place.

        None where too many were spoiled for one card: its application waits for approval again.
        """
        report = SpoiledReport(reason=reason[:REASON_LENGTH_MAX])
        try:
            return self._ask("POST", f"/orders/{order_id}/spoiled", CardOrder, report)
        except CentreRefused as refusal:
            if refusal.problem.kind is ProblemType.SPOILED_TOO_OFTEN:
                return None
            raise

    def stage(self, order_id: UUID, stage: WrittenStage) -> OrderStage:
        """Tell how far an order's card is."""
        return self._ask("POST", f"/orders/{order_id}/stage", OrderStage, StageReport(stage=stage))

    def batches(self) -> tuple[CardBatch, ...]:
        """Return this station's unfinished batches, the oldest first."""
        return self._ask("GET", "/batches", BatchList).batches

    def take_batch(self, batch_id: UUID | None = None) -> CardBatch | None:
        """Take a batch, or (None) go on with the one begun, or take the next, if any."""
        path = "/batches/next" if batch_id is None else f"/batches/{batch_id}/take"
        try:
            return self._ask("POST", path, CardBatch)
        except CentreRefused as refusal:
            if batch_id is None and refusal.problem.kind is ProblemType.BATCH_UNKNOWN:
                return None
            raise

    def orders_of(self, batch_id: UUID) -> list[CardOrder]:
        """Return the open orders of a batch of this station."""
        orders: list[CardOrder] = []
        after = ""
        for _ in range(PAGES_MAX):
            page = self._ask("GET", f"/batches/{batch_id}/orders{after}", OrderPage)
            orders += page.orders
            if page.next is None:
                return orders
            after = f"?after={page.next}"
        raise CentreAway(self._address, f"over {PAGES_MAX} pages of orders")

    def count_blanks(self, left: int) -> BlankBalance:
        """Tell how many blanks were counted tonight; the day's balance as the centre sees it."""
        return self._ask("POST", "/blanks/count", BlankBalance, BlankCount(left=left))

    def face(self, order_id: UUID, purpose: str) -> CardFace:
        """Return what is printed on an order's card; the read is logged with its purpose."""
        request = FaceRequest(purpose=purpose)
        return self._ask("POST", f"/orders/{order_id}/face", CardFace, request)

    def card(self, card_id: UUID) -> CardStatus | None:
        """Return a card; None when the centre knows none with this GUID."""
        try:
            return self._ask("GET", f"/cards/{card_id}", CardStatus)
        except CentreRefused as refusal:
            if refusal.problem.kind is ProblemType.CARD_UNKNOWN:
                return None
            raise

    def passport(self, card_id: UUID) -> bytes:
        """Return the social passport that belongs on a card that is ordered or issued."""
        return self._ask("POST", f"/cards/{card_id}/passport", CardPassport).passport

    def ask_own_pin(self, card_id: UUID) -> PinChallenge | None:
        """Return what a card has to sign after its holder's own PIN; None: no such card."""
        try:
            return self._ask("POST", f"/cards/{card_id}/pin-challenge", PinChallenge)
        except CentreRefused as refusal:
            if refusal.problem.kind is ProblemType.CARD_UNKNOWN:
                return None
            raise

    def own_pin(self, card_id: UUID, proof: bytes) -> CardStatus:
        """Report that the holder's own PIN is on the card, which signed after it."""
        return self._ask("POST", f"/cards/{card_id}/own-pin", CardStatus, OwnPinReport(proof=proof))

    def block(self, card_id: UUID) -> CardStatus:
        """Block a card at once."""
        return self._ask("POST", f"/cards/{card_id}/block", CardStatus)

    def _ask(self, method: str, path: str, kind: type[T], body: msgspec.Struct | None = None) -> T:
        """Send until there is an answer that says something, at most `ATTEMPTS_MAX` times."""
        content = None if body is None else msgspec.json.encode(body)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return self._ask_once(method, path, kind, content)
            except CentreAway:
                if attempt == ATTEMPTS_MAX:
                    raise
            except CentreRefused as refusal:
                later = refusal.problem.kind is ProblemType.TRY_LATER
                if not later:
                    raise
                if attempt == ATTEMPTS_MAX:
                    # "Try later" may hide that the request took effect, so it is no refusal.
                    raise CentreAway(self._address, refusal.problem.title) from None
            self._pause(PAUSE_MS * 2 ** (attempt - 1) / 1000)
        raise AssertionError("the last attempt returns or raises")

    def _ask_once(self, method: str, path: str, kind: type[T], content: bytes | None) -> T:
        try:
            answer = self._http.request(
                method, path, content=content, headers={"Content-Type": "application/json"}
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CentreAway(self._address, str(error) or type(error).__name__) from None
        if len(answer.content) > ANSWER_BYTES_MAX:
            raise CentreAway(self._address, f"an answer over {ANSWER_BYTES_MAX} bytes")
        try:
            if answer.is_success:
                return msgspec.json.decode(answer.content, type=kind)
            problem = msgspec.json.decode(answer.content, type=Problem)
        except (msgspec.DecodeError, UnicodeDecodeError):
            detail = f"HTTP {answer.status_code} without an answer of the issuing API"
            raise CentreAway(self._address, detail) from None
        if problem.kind is ProblemType.FAULT:
            raise CentreAway(self._address, problem.title)
        raise CentreRefused(problem)


def read_token(path: Path | None) -> str:
    """Return the token in a file; StationError(TOKEN_UNUSABLE) says what is wrong with it."""
    if path is None:
        raise StationError(StationFault.TOKEN_UNUSABLE, detail="--token-file")
    try:
        with path.open("rb") as file:
            token = file.read(TOKEN_BYTES_MAX + 1).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StationError(StationFault.TOKEN_UNUSABLE, detail=str(error)) from None
    if not token or len(token) > TOKEN_BYTES_MAX or not token.isprintable():
        raise StationError(StationFault.TOKEN_UNUSABLE, detail=str(path))
    return token


def _require_safe(address: str) -> None:
    """Refuse an address to which the token would travel in the clear over a network."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        near = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        near = False
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and near)):
        raise StationError(StationFault.CENTRE_ADDRESS, address=address)
