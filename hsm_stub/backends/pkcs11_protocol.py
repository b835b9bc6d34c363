"""What the service and the worker of a PKCS#11 token say to each other."""

from __future__ import annotations

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the worker shall do. `label` names a key; `data` is a PIN, a message or a secret."""

    do: str
    label: str = ""
    data: bytes = b""
    count: int = 0
    module: str = ""
    token: str = ""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of it: data, or in `fault` the name of what went wrong."""

    data: bytes = b""
    fault: str = ""
