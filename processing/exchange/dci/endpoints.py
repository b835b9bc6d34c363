"""The paths of the published description, each with the action it takes and the one it answers."""

from __future__ import annotations

from typing import Final

import msgspec

from processing.exchange.dci.codes import Action


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One path. `incoming`: it takes what other registries answer to our own requests."""

    path: str
    action: Action
    answer: Action
    synchronous: bool = False
    incoming: bool = False


ENDPOINTS: Final = (
    Endpoint(
        path="/registry/sync/search",
        action=Action.SEARCH,
        answer=Action.ON_SEARCH,
        synchronous=True,
    ),
    Endpoint(path="/registry/search", action=Action.SEARCH, answer=Action.ON_SEARCH),
    Endpoint(path="/registry/subscribe", action=Action.SUBSCRIBE, answer=Action.ON_SUBSCRIBE),
    Endpoint(path="/registry/unsubscribe", action=Action.UNSUBSCRIBE, answer=Action.ON_UNSUBSCRIBE),
    Endpoint(path="/registry/txn/status", action=Action.TXN_STATUS, answer=Action.TXN_ON_STATUS),
    Endpoint(
        path="/registry/sync/txn/status",
        action=Action.TXN_STATUS,
        answer=Action.TXN_ON_STATUS,
        synchronous=True,
    ),
    *(
        Endpoint(path=path, action=action, answer=action, incoming=True)
        for path, action in (
            ("/registry/on-search", Action.ON_SEARCH),
            ("/registry/on-subscribe", Action.ON_SUBSCRIBE),
            ("/registry/notify", Action.NOTIFY),
            ("/registry/on-unsubscribe", Action.ON_UNSUBSCRIBE),
            ("/registry/txn/on-status", Action.TXN_ON_STATUS),
        )
    ),
)
"""Every path of the description; JWKS is at /.well-known/jwks.json besides."""

CALLBACK_PATHS: Final = {each.action: each.path for each in ENDPOINTS if each.incoming}
"""Where a callback goes below a participant's registered address, by its action."""
