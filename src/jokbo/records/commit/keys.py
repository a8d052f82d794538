"""Keys that sign commitments and statements: Ed25519, or ECDSA on P-256 with SHA-256.

A key is named by the SHA-256 of its public half (SubjectPublicKeyInfo, DER). Private halves are
written for their owner alone, never shown, and never read from a file that others may read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jokbo.errors import EvidenceError, MissingExtraError, NotFoundError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALGORITHMS = ("ed25519", "ecdsa-p256")
MAX_KEY_BYTES = 16 << 10
_MAKE_ONE = "Make one with `jokbo hearing key`, or with --new-key of `jokbo record commit`."


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half.

    Attributes
    ----------
    algorithm : str
        ``"ed25519"`` or ``"ecdsa-p256"``.
    der : bytes
        SubjectPublicKeyInfo.
    verify : callable
        ``verify(signature, message) -> bool``.
    """

    algorithm: str
    der: bytes
    verify: Callable[[bytes, bytes], bool] = field(repr=False, compare=False)

    @property
    def keyid(self) -> str:
        """SHA-256 of the DER, in hexadecimal."""
        return hashlib.sha256(self.der).hexdigest()

    def to_pem(self) -> bytes:
        """The key as OpenSSL writes it."""
        import base64
        import textwrap

        body = "\n".join(textwrap.wrap(base64.b64encode(self.der).decode(), 64))
        return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n".encode()


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that can sign; its private half stays inside `sign`."""

    public: PublicKey
    sign: Callable[[bytes], bytes] = field(repr=False, compare=False)


def make_key(path: str | os.PathLike[str], *, algorithm: str = "ed25519") -> Signer:
    """Make a key pair: the private half in `path`, for its owner alone, the public half beside it as ``.pub``.

    Raises
    ------
    UsageError
        A file is there already, the folder is not, or there is no such algorithm.
    MissingExtraError
        The extra ``records`` is not installed.
    """
    if algorithm not in ALGORITHMS:
        raise UsageError(f"there is no kind of key {algorithm!r}; expected one of {', '.join(ALGORITHMS)}.")
    _, serialization, ec, ed25519 = _cryptography()
    key = (
        ed25519.Ed25519PrivateKey.generate()
        if algorithm == "ed25519"
        else ec.generate_private_key(ec.SECP256R1())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signer = _signer(key)
    target = Path(path)
    public = target.with_name(target.name + ".pub")
    if public.exists():
        raise UsageError(f"{public} is there already, and no key is written over. Choose another name.")
    _write_new(target, private, 0o600)
    _write_new(public, signer.public.to_pem(), 0o644)
    return signer


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        # Made with its final rights: at no moment can anybody else open it.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode)
    except FileExistsError:
        raise UsageError(
            f"{path} is there already, and no key is written over. Choose another name."
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write the key {path}: {error.strerror}. Choose another place.") from None
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def load_signer(path: str | os.PathLike[str]) -> Signer:
    """Load a private key (PEM, PKCS#8 or SEC 1) that only its owner may read.

    Raises
    ------
    NotFoundError, UsageError
        There is none, others may read it, or it is of another kind.
    MissingExtraError
        The extra ``records`` is not installed.
    """
    data = _read(path, private=True)
    exceptions, serialization, _, _ = _cryptography()
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except TypeError:
        raise UsageError(
            f"the key {path} is encrypted. Give one without a passphrase, readable for its owner alone."
        ) from None
    except (ValueError, exceptions.UnsupportedAlgorithm):
        raise UsageError(f"{path} holds no private key in PEM form. {_MAKE_ONE}") from None
    signer = _signer(key)
    if signer is None:
        raise UsageError(f"the key {path} is neither Ed25519 nor ECDSA on P-256. {_MAKE_ONE}")
    return signer


def load_public_key(path: str | os.PathLike[str]) -> PublicKey:
    """Load a public key (PEM).

    Raises
    ------
    NotFoundError, EvidenceError
        There is none, or it is of another kind.
    MissingExtraError
        The extra ``records`` is not installed.
    """
    data = _read(path, private=False)
    exceptions, serialization, _, _ = _cryptography()
    if b"PRIVATE KEY" in data:
        raise UsageError(
            f"{path} is a private key. Give its public half (.pub), and keep this one to yourself."
        )
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, exceptions.UnsupportedAlgorithm):
        raise EvidenceError(f"{path} holds no public key in PEM form.") from None
    return _known(_public(key), str(path))


def public_key_from_der(der: bytes, where: str) -> PublicKey:
    """A public key as a chain's first line holds it.

    Raises
    ------
    EvidenceError
        It is no Ed25519 or P-256 key.
    MissingExtraError
        The extra ``records`` is not installed.
    """
    exceptions, serialization, _, _ = _cryptography()
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, exceptions.UnsupportedAlgorithm):
        raise EvidenceError(f"{where} holds no public key in DER form.") from None
    found = _known(_public(key), where)
    if found.der != der:
        raise EvidenceError(f"{where} holds a public key in an unusual encoding. It is damaged or edited.")
    return found


def load_public_keys(paths: Iterable[str | os.PathLike[str]]) -> tuple[PublicKey, ...]:
    """Load several public keys (PEM)."""
    return tuple(load_public_key(path) for path in paths)


def _read(path: str | os.PathLike[str], *, private: bool) -> bytes:
    try:
        with open(path, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"the key {path} is no ordinary file.")
            if private and status.st_mode & 0o077:
                raise UsageError(
                    f"others may read the private key {path} (mode {status.st_mode & 0o777:04o}). "
                    f"Run `chmod 600 {path}`, or make a new key if others may have read it."
                )
            data = stream.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read the key {path}: {error.strerror}.") from None
    if len(data) > MAX_KEY_BYTES:
        raise UsageError(f"the key {path} is longer than {MAX_KEY_BYTES:,} bytes; no key is.")
    return data


def _signer(key: Any) -> Any:
    _, _, ec, ed25519 = _cryptography()
    public = _public(key.public_key())
    if public is None:
        return None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        private: Ed25519PrivateKey = key
        return Signer(public, private.sign)
    curve: EllipticCurvePrivateKey = key
    return Signer(public, lambda message: curve.sign(message, ec.ECDSA(_sha256())))


def _public(key: Any) -> PublicKey | None:
    exceptions, serialization, ec, ed25519 = _cryptography()
    arguments: tuple[Any, ...] = ()
    if isinstance(key, ed25519.Ed25519PublicKey):
        algorithm = "ed25519"
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        algorithm, arguments = "ecdsa-p256", (ec.ECDSA(_sha256()),)
    else:
        return None

    def verify(signature: bytes, message: bytes) -> bool:
        try:
            key.verify(signature, message, *arguments)
        except exceptions.InvalidSignature:
            return False
        return True

    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(algorithm, der, verify)


def _known(key: PublicKey | None, where: str) -> PublicKey:
    if key is None:
        raise EvidenceError(f"{where}: the public key is neither Ed25519 nor ECDSA on P-256.")
    return key


def _sha256() -> Any:
    from cryptography.hazmat.primitives.hashes import SHA256

    return SHA256()


def _cryptography() -> Any:
    try:
        from cryptography import exceptions
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    except ImportError:
        raise MissingExtraError(
            "keys and signatures need the package cryptography: pip install 'jokbo[records]'."
        ) from None
    return exceptions, serialization, ec, ed25519
