"""What a caller of the key service may meet.

HsmError
├── HsmAddressError      the address or the token is unusable: mend the configuration
├── HsmUnavailable       no answer: service down, time-out, too many requests; try later
├── HsmProtocolError     the other side is no key service, or of another version
└── HsmRefused           the service answered no; `code` is from the closed list `Refusal`
"""

from __future__ import annotations

from hsm_stub.client.commands import Refusal


class HsmError(Exception):
    """A fault met while asking the key service. Messages carry no secret."""

    exit_code = 1


class HsmAddressError(HsmError):
    """The address or the token given cannot be used."""

    exit_code = 2


class HsmUnavailable(HsmError):
    """The service gave no answer; whether it carried the command out is not known."""


class HsmProtocolError(HsmError):
    """What answered does not speak this protocol."""


class HsmRefused(HsmError):
    """The service refused the command; nothing was done."""

    def __init__(self, code: Refusal, message: str) -> None:
        super().__init__(f"the key service refused ({code.value}): {message}")
        self.code = code
        self.message = message
