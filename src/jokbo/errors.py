"""Everything Jokbo raises on purpose.

::

    JokboError
    ├── UsageError              the call itself is wrong: an option, a budget, a language
    ├── MissingExtraError       an optional dependency is not installed
    └── InputError              an input cannot be believed
        ├── SourceError         bytes could not be read
        │   ├── NotFoundError   no such file, folder, repository or revision
        │   ├── AccessError     private, gated or forbidden
        │   ├── OfflineError    --offline, and the bytes are not in the cache
        │   ├── TransferError   the connection broke or the server kept refusing
        │   ├── RangeError      the server did not answer the range that was asked for
        │   ├── ChangedError    the file changed while it was being read
        │   └── RowsAbsentError a fingerprint does not hold the rows that were asked for
        ├── FormatError         bytes were read and do not follow their format
        ├── WeightsError        numbers no trained model holds: NaN, infinity, nothing at all
        ├── ArchitectureError   configuration and tensors contradict each other
        └── EvidenceError       an evidence document is malformed or does not hold

Every message answers five questions in one or two sentences: what, where, what
was expected, what was found, and what to do next.
"""

from __future__ import annotations


class JokboError(Exception):
    """Base of every deliberate error; the command line prints it and exits with 2."""


class UsageError(JokboError):
    """The call is wrong, whatever the inputs hold."""


class MissingExtraError(JokboError):
    """An optional dependency is needed; the message names the command that installs it."""


class InputError(JokboError):
    """An input cannot be read or believed; no verdict is given on it."""


class SourceError(InputError):
    """Bytes could not be read."""


class NotFoundError(SourceError):
    """No such file, folder, repository or revision."""


class AccessError(SourceError):
    """The source exists, perhaps, but these credentials may not read it."""


class OfflineError(SourceError):
    """Offline, and the bytes wanted are not in the cache."""


class TransferError(SourceError):
    """The connection broke, or the server refused, more often than the retries allow."""


class RangeError(SourceError):
    """The server answered something other than the range asked for."""


class ChangedError(SourceError):
    """The file changed between two reads."""


class RowsAbsentError(SourceError):
    """A fingerprint holds some rows of a model, and others were asked for."""


class FormatError(InputError):
    """The bytes do not follow their format."""


class WeightsError(InputError):
    """The weights hold NaN, infinity or nothing at all."""


class ArchitectureError(InputError):
    """The configuration and the tensors contradict each other."""


class EvidenceError(InputError):
    """An evidence document is malformed, or what it claims does not hold."""
