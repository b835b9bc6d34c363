"""What may go wrong with the service itself. Messages carry no secret.

ServiceError
├── KeyFileError
│   ├── KeyFileExists        `init` never overwrites keys
│   ├── KeyFileMissing       there is no such file
│   ├── KeyFileExposed       others may read it
│   ├── KeyFileDamaged       its bytes are not what was written
│   └── WrongPassphrase      its bytes are sound and the passphrase does not open them
├── CeremonyError            a ceremony cannot go on
│   ├── ShareError           a share is mistyped, or not of this set
│   └── RecordWrong          a record is not what was signed
├── TokenError               the token does not answer, or not as it must
├── RotationRefused          a key cannot go on to its next generation or state
├── PolicyError              the policy is not sound
├── AuditError               the audit cannot be written
│   └── AuditDamaged         it is not what was written
├── PassphraseMissing        no passphrase was given
└── ListenError
    └── AlreadyRunning       another service answers at this address

CommandRefused is the service's own "no" to one command; the client sees it as `HsmRefused`.
"""

from __future__ import annotations

from hsm_stub.client.commands import Refusal


class ServiceError(Exception):
    """The service cannot start or its keys cannot be used."""

    exit_code = 1


class KeyFileError(ServiceError):
    """Something is wrong with the key file."""


class KeyFileExists(KeyFileError):
    """There is a file where new keys should go."""


class KeyFileMissing(KeyFileError):
    """There is no key file."""


class KeyFileExposed(KeyFileError):
    """The file may be read by others than its owner."""


class KeyFileDamaged(KeyFileError):
    """The file's bytes changed since they were written."""


class WrongPassphrase(KeyFileError):
    """The passphrase does not open the file."""


class CeremonyError(ServiceError):
    """A ceremony cannot go on."""


class ShareError(CeremonyError):
    """A share is mistyped, or not of this set."""


class RecordWrong(CeremonyError):
    """A record is not what was signed."""


class TokenError(ServiceError):
    """A PKCS#11 token does not answer, or not as it must."""


class RotationRefused(ServiceError):
    """A key cannot go on to its next generation, or a generation not to that state."""


class PolicyError(ServiceError):
    """The policy is not sound, or not the one that was installed."""

    exit_code = 2


class AuditError(ServiceError):
    """The audit cannot be written."""


class AuditDamaged(AuditError):
    """The audit is not what was written."""


class PassphraseMissing(ServiceError):
    """No usable passphrase was given."""

    exit_code = 2


class ListenError(ServiceError):
    """The address cannot be listened on."""


class AlreadyRunning(ListenError):
    """Another service answers at this address."""


class CommandRefused(Exception):
    """A command that is not carried out, with the answer its caller gets."""

    def __init__(self, code: Refusal, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
