"""Where the key service listens: `unix:/run/spk/hsm.sock` or `tcp:127.0.0.1:7010`.

TCP stays on the loopback interface, because keys travel over it in the clear.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from hsm_stub.client.errors import HsmAddressError
from hsm_stub.client.handshake import Credentials, token_key, usable_token

CLIENT_NAME: Final = re.compile(r"([a-z0-9][a-z0-9-]{0,31})?")
UNIX_PATH_BYTES_MAX: Final = 107
"""Room for a path in `sockaddr_un` on Linux, without its final zero."""


class UnixAddress(msgspec.Struct, frozen=True):
    """A unix socket at an absolute path."""

    path: Path

    def __str__(self) -> str:
        """Return the address as `parse_address` reads it."""
        return f"unix:{self.path}"


class TcpAddress(msgspec.Struct, frozen=True):
    """A port of the loopback interface; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the address as `parse_address` reads it."""
        return f"tcp:{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


Address = UnixAddress | TcpAddress


def parse_address(url: str) -> Address:
    """Return the address in `url`; raises `HsmAddressError` that says what is expected."""
    scheme, _, rest = url.partition(":")
    if scheme == "unix":
        return _unix(rest)
    if scheme == "tcp":
        return _tcp(rest)
    raise HsmAddressError(
        f"{url!r} is no key service address; give unix:/path/to/hsm.sock or tcp:127.0.0.1:PORT"
    )


def token_for(address: Address, environment: Mapping[str, str], token_file: Path | None) -> bytes:
    """Return the token for `address`: empty for a unix socket, else from file or SPK_HSM_TOKEN.

    Raises `HsmAddressError` when TCP is asked for and there is no usable token.
    """
    if isinstance(address, UnixAddress):
        return b""
    if token_file is not None:
        try:
            return usable_token(token_file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise HsmAddressError(f"the token file {token_file} cannot be read: {error}") from None
    if token := environment.get("SPK_HSM_TOKEN"):
        return usable_token(token)
    raise HsmAddressError(
        f"{address} needs a token that the service and its clients share: set SPK_HSM_TOKEN or "
        "give --token-file"
    )


def credentials_for(
    address: Address, environment: Mapping[str, str], token_file: Path | None
) -> Credentials:
    """Return how a client introduces itself: SPK_HSM_CLIENT, and the token for `address`.

    Over a unix socket a token is used only by a client that has a name. Raises `HsmAddressError`.
    """
    client = environment.get("SPK_HSM_CLIENT", "").strip()
    if not CLIENT_NAME.fullmatch(client):
        raise HsmAddressError(
            f"SPK_HSM_CLIENT={client!r} is no client's name: a-z, 0-9 and hyphens, at most 32"
        )
    if isinstance(address, UnixAddress):
        given = client and (token_file is not None or environment.get("SPK_HSM_TOKEN"))
        if not given:
            return Credentials(client)
        address = TcpAddress("127.0.0.1", 0)
    return Credentials(client, token_key(token_for(address, environment, token_file)))


def _unix(rest: str) -> UnixAddress:
    path = Path(rest)
    if not path.is_absolute():
        raise HsmAddressError(f"unix:{rest} needs an absolute path, such as unix:/run/spk/hsm.sock")
    length = len(str(path).encode())
    if length > UNIX_PATH_BYTES_MAX:
        raise HsmAddressError(
            f"the socket path {path} has {length} bytes, a unix socket allows "
            f"{UNIX_PATH_BYTES_MAX}; choose a shorter one"
        )
    return UnixAddress(path)


def _tcp(rest: str) -> TcpAddress:
    host, _, port = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 0xFFFF):
        raise HsmAddressError(f"tcp:{rest} needs a port from 0 to 65535: tcp:127.0.0.1:7010")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise HsmAddressError(
            f"tcp:{rest} is not on the loopback interface; keys travel in the clear, so only "
            "127.0.0.1 or [::1] is allowed"
        )
    return TcpAddress(host, int(port))
