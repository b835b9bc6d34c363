"""`spk exchange`: participants, requests to other registries, the outbox, files of ЕГИССО."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

import aiohttp
import cyclopts
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from processing.exchange.dci.attributes import Part
from processing.exchange.dci.client import Asked, Client
from processing.exchange.dci.codes import Action
from processing.exchange.dci.envelope import iso
from processing.exchange.dci.model import Peer
from processing.exchange.dci.peers import PeerStore, Registration, new_token
from processing.exchange.dci.signature import Algorithm, read_jwks
from processing.exchange.dci.store import DciStore
from processing.exchange.dci.tokens import ExchangeFolder, check_peer_id
from processing.exchange.dci.uris import read_uri
from processing.kernel.clock import SystemClock
from processing.kernel.config import read_settings
from processing.kernel.errors import ConfigurationError
from processing.kernel.private_file import write_private_file
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets

APPLICATION_NAME: Final = "spk exchange"
LISTED_MAX: Final = 200
"""Most messages that one list shows."""

app = cyclopts.App(name="exchange", help="Exchange data with other agencies.")
peer_app = cyclopts.App(name="peer", help="Register participants and what is agreed with them.")
outbox_app = cyclopts.App(name="outbox", help="See and mend what is on its way to participants.")
app.command(peer_app)
app.command(outbox_app)
app.command("processing.exchange.egisso.commands:app", name="egisso")

PeerId = Annotated[str, Parameter(help="The participant's name, such as pensions.example.org.")]


@app.command
def init(
    name: Annotated[str, Parameter(help="How the centre names itself, such as sr.example.org.")],
    /,
    *,
    replace: Annotated[bool, Parameter(help="Make new keys; participants must get them.")] = False,
) -> None:
    """Make the keys that messages are signed with; then restart the centre."""
    folder = ExchangeFolder(read_settings(os.environ).home)
    folder.create(name, replace=replace)
    print(f"The exchange is {name}; spk exchange jwks prints its public keys")


@app.command
def jwks() -> None:
    """Print the centre's public keys, as /.well-known/jwks.json gives them."""
    keys = ExchangeFolder(read_settings(os.environ).home).keys()
    print(msgspec.json.format(msgspec.json.encode(keys.jwks())).decode())


@peer_app.command(name="add")
def add_peer(
    peer_id: PeerId,
    /,
    *,
    name: Annotated[str, Parameter(help="The agency's name.")],
    jwks_file: Annotated[Path, Parameter(help="Its public keys, a JWK Set.")],
    purpose: Annotated[
        list[str], Parameter(help="Code of a purpose; with :consent, of who consented only.")
    ],
    part: Annotated[list[Part], Parameter(help="Parts of a record that it may see.")],
    callback_uri: Annotated[str | None, Parameter(help="Where its answers go.")] = None,
    registry_uri: Annotated[str | None, Parameter(help="Where its own registry listens.")] = None,
    algorithm: Annotated[Algorithm, Parameter(help="How we sign to it.")] = Algorithm.ED25519,
    messages_per_minute: int = 60,
    token_file: Annotated[
        Path | None, Parameter(help="Where to write its token; none: it keeps the one it has.")
    ] = None,
    their_token_file: Annotated[
        Path | None, Parameter(help="The token that it gave us, to be copied.")
    ] = None,
) -> None:
    """Register a participant, or change what is agreed with it."""
    check_peer_id(peer_id)
    for uri in filter(None, (callback_uri, registry_uri)):
        _checked(read_uri, uri)
    content = _read(jwks_file)
    _checked(read_jwks, content)
    registration = Registration(
        peer_id=peer_id,
        name=name,
        jwks=content,
        callback_uri=callback_uri,
        registry_uri=registry_uri,
        algorithm=algorithm,
        parts=part,
        messages_per_minute=messages_per_minute,
        purposes={one.removesuffix(":consent"): one.endswith(":consent") for one in purpose},
    )
    token = None if token_file is None else new_token(peer_id)
    if token_file is not None:
        write_private_file(token_file, f"{token}\n".encode())
    if their_token_file is not None:
        tokens = ExchangeFolder(read_settings(os.environ).home).tokens()
        tokens.keep(peer_id, _read(their_token_file).decode().strip())
    if not asyncio.run(_put_peer(registration, token)):
        raise ConfigurationError(f"{peer_id} is new: --token-file says where its token goes")
    print(f"{peer_id} may ask for {', '.join(purpose)}: {', '.join(part)}")


@peer_app.command(name="list")
def list_peers() -> None:
    """List the participants and what is agreed with them."""
    table = Table("participant", "state", "purposes", "parts", "a minute", "callbacks", "registry")
    for one in asyncio.run(_peers()):
        purposes = [f"{name}{':consent' * needs}" for name, needs in sorted(one.purposes.items())]
        table.add_row(
            one.peer_id,
            "active" if one.active else "suspended",
            " ".join(purposes),
            " ".join(sorted(one.parts)),
            str(one.messages_per_minute),
            one.callback_uri or "—",
            one.registry_uri or "—",
        )
    Console().print(table if table.row_count else "No participants yet: spk exchange peer add.")


@peer_app.command
def suspend(peer_id: PeerId, /) -> None:
    """Take nothing from a participant and tell it nothing, until it is resumed."""
    _set_active(peer_id, active=False)


@peer_app.command
def resume(peer_id: PeerId, /) -> None:
    """Go on with a suspended participant."""
    _set_active(peer_id, active=True)


@app.command
def search(
    *,
    peer: PeerId,
    purpose: Annotated[str, Parameter(help="Code of the purpose, as agreed with the registry.")],
    snils: Annotated[str | None, Parameter(help="Whom to look for.")] = None,
    query: Annotated[
        Path | None, Parameter(help="JSON file with query_type and query, and what else is asked.")
    ] = None,
    group: Annotated[bool, Parameter(help="Ask for households.")] = False,
    background: Annotated[
        bool, Parameter(name="--async", help="Have it answered later, into spk exchange inbox.")
    ] = False,
) -> None:
    """Ask a participant's registry for people; the verified answer is printed as JSON."""
    if (snils is None) == (query is None):
        raise ConfigurationError("give --snils or --query, one of them")
    criteria: dict[str, Any] = {
        "query_type": "idtype-value",
        "query": {"type": "SNILS", "value": snils},
    }
    if query is not None:
        criteria = _checked(_json_object, _read(query))
    criteria = {
        "authorize": {"purpose": {"code": purpose}},
        "response_entity": "Group" if group else "Member",
        **criteria,
    }
    message = _requests("search_request", "search_criteria", criteria)
    _print(asyncio.run(_ask(peer, Action.SEARCH, message, synchronous=not background)))


@app.command
def subscribe(
    *,
    peer: PeerId,
    purpose: str,
    query: Annotated[Path, Parameter(help="JSON file with filter_type and filter.")],
    event: Annotated[str, Parameter(help="REGISTER or NewHouseHoldMember.")] = "REGISTER",
    group: Annotated[bool, Parameter(help="Be told of households.")] = False,
) -> None:
    """Ask to be told of changes; the answer and the notices come into spk exchange inbox."""
    criteria = {
        "reg_event_type": event,
        "notify_record_type": "Group" if group else "Member",
        "authorize": {"purpose": {"code": purpose}},
        **_checked(_json_object, _read(query)),
    }
    message = _requests("subscribe_request", "subscribe_criteria", criteria)
    _print(asyncio.run(_ask(peer, Action.SUBSCRIBE, message, synchronous=False)))


@app.command
def unsubscribe(code: str, /, *, peer: PeerId) -> None:
    """End a subscription at a participant's registry."""
    message = {
        "transaction_id": str(uuid4()),
        "timestamp": iso(_now_ms()),
        "subscription_codes": [code],
    }
    _print(asyncio.run(_ask(peer, Action.UNSUBSCRIBE, message, synchronous=False)))


@app.command
def status(transaction_id: str, /, *, peer: PeerId) -> None:
    """Ask what became of one of our searches."""
    message = {
        "transaction_id": str(uuid4()),
        "txnstatus_request": {
            "reference_id": str(uuid4()),
            "txn_type": "search",
            "attribute_type": "transaction_id",
            "attribute_value": transaction_id,
        },
    }
    _print(asyncio.run(_ask(peer, Action.TXN_STATUS, message, synchronous=True)))


@app.command
def inbox(transaction_id: str | None = None, /) -> None:
    """Print what participants answered, one JSON object a line, the newest first."""
    for row in asyncio.run(_inbox(transaction_id)):
        line = {
            "peer": row["peer_id"],
            "action": row["action"],
            "received_at": row["received_at"],
            "message": msgspec.Raw(row["message"]),
        }
        print(msgspec.json.encode(line).decode())


@outbox_app.command(name="list")
def list_outbox(
    *,
    everything: Annotated[bool, Parameter(name="--all", help="Those delivered too.")] = False,
) -> None:
    """List what is on its way and what was given up."""
    table = Table("message", "to", "action", "queued", "attempts", "state", "fault")
    for row in asyncio.run(_outbox(everything=everything)):
        state = f"next {_shown(row['next_at'])}"
        if row["delivered_at"] is not None:
            state = f"delivered {_shown(row['delivered_at'])}"
        elif row["dead_at"] is not None:
            state = f"given up {_shown(row['dead_at'])}"
        table.add_row(
            str(row["message_id"]),
            row["peer_id"],
            row["action"],
            _shown(row["queued_at"]),
            str(row["attempts"]),
            state,
            row["fault"] or "",
        )
    Console().print(table if table.row_count else "Nothing is on its way.")


@outbox_app.command
def retry(message_id: UUID, /) -> None:
    """Send a message again from its first attempt, as after a participant was mended."""
    if not asyncio.run(_retry(message_id)):
        raise ConfigurationError(f"there is no message {message_id} that could be sent again")
    print(f"{message_id} is sent within seconds, while the centre runs")


@outbox_app.command
def drop(message_id: UUID, /, *, by: str) -> None:
    """Give a message up for good; what it says is erased."""
    if not asyncio.run(_drop(message_id, by)):
        raise ConfigurationError(f"there is no message {message_id} on its way")
    print(f"{message_id} is given up")


@asynccontextmanager
async def _store() -> AsyncIterator[DciStore]:
    settings = read_settings(os.environ)
    async with open_targets(settings, Role.EXCHANGE, APPLICATION_NAME) as targets:
        yield DciStore(targets.home)


@asynccontextmanager
async def _peer_store() -> AsyncIterator[PeerStore]:
    settings = read_settings(os.environ)
    async with open_targets(settings, Role.OPERATOR, APPLICATION_NAME) as targets:
        yield PeerStore(targets.home)


async def _put_peer(registration: Registration, token: str | None) -> bool:
    async with _peer_store() as store:
        return await store.put(registration, token)


async def _peers() -> list[Peer]:
    async with _peer_store() as store:
        return await store.peers()


def _set_active(peer_id: str, *, active: bool) -> None:
    async def work() -> bool:
        async with _peer_store() as store:
            return await store.set_active(peer_id, active=active)

    if not asyncio.run(work()):
        raise ConfigurationError(f"there is no participant {peer_id}: spk exchange peer list")
    print(f"{peer_id} is {'active' if active else 'suspended'}")


async def _ask(
    peer_id: str, action: Action, message: dict[str, Any], *, synchronous: bool
) -> Asked:
    folder = ExchangeFolder(read_settings(os.environ).home)
    async with AsyncExitStack() as rooms:
        store = await rooms.enter_async_context(_store())
        session = await rooms.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        )
        found = await store.peer(peer_id)
        if found is None:
            raise ConfigurationError(f"there is no participant {peer_id}: spk exchange peer list")
        client = Client(
            session, store, folder.keys(), folder.tokens(), folder.sender_id(), SystemClock("UTC")
        )
        return await client.ask(found[0], action, message, synchronous=synchronous)


async def _inbox(transaction_id: str | None) -> list[Any]:
    async with _store() as store:
        return await store.inbox(transaction_id, LISTED_MAX)


async def _outbox(*, everything: bool) -> list[Any]:
    async with _store() as store:
        return await store.outbox(everything=everything, dead=True, limit=LISTED_MAX)


async def _retry(message_id: UUID) -> bool:
    async with _store() as store:
        return await store.retry(message_id, _now_ms())


async def _drop(message_id: UUID, by: str) -> bool:
    async with _store() as store:
        return await store.drop(message_id, f"given up by {by}", _now_ms())


def _requests(name: str, criteria_name: str, criteria: dict[str, Any]) -> dict[str, Any]:
    item = {
        "reference_id": str(uuid4()),
        "timestamp": iso(_now_ms()),
        criteria_name: criteria,
        "locale": "rus",
    }
    return {"transaction_id": str(uuid4()), name: [item]}


def _print(asked: Asked) -> None:
    told = {"transaction_id": asked.transaction_id, "correlation_id": asked.correlation_id}
    answer = asked.message if asked.message is not None else told
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer)).decode() + "\n")


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"no JSON object: {error}") from None


def _checked(check: Any, value: Any) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def _now_ms() -> int:
    return SystemClock("UTC").utc_ms()
