"""Sigstore bundles over a pack's manifest or a statement: verified offline, with the sigstore library.

Signing without a key of one's own ("keyless") asks an identity provider over the network, and belongs to
sigstore's own command: ``sigstore sign manifest.json``. Here such a bundle is verified, against the trust
root that the library carries, for an identity that the verifier names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jokbo.errors import EvidenceError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from jokbo.records.attest.verify_documents import DocumentVerification

MAX_BUNDLE_BYTES = 16 << 20


def verify_bundle(data: bytes, where: str) -> DocumentVerification:
    """Say what a bundle on its own cannot: whom it is by, and of what.

    Raises
    ------
    UsageError
        Always: a bundle is verified with the file that it signs, by :func:`verify_signed_file`.
    """
    raise UsageError(
        f"{where} is a Sigstore bundle, which is verified together with the file it signs and an identity: "
        "run `sigstore verify identity --offline --bundle BUNDLE --cert-identity WHO --cert-oidc-issuer ISSUER FILE`."
    )


def verify_signed_file(
    content: bytes, bundle: bytes, *, identity: str, issuer: str, where: str = "bundle"
) -> None:
    """Verify a bundle over some bytes, offline.

    Parameters
    ----------
    content : bytes
        What was signed, such as a pack's ``manifest.json``.
    bundle : bytes
        Sigstore bundle, JSON.
    identity, issuer : str
        Whose signature counts, and which provider vouches for the name.

    Raises
    ------
    EvidenceError
        It is no bundle, or it does not hold for these bytes and this identity.
    MissingExtraError
        The extra ``sign`` is not installed.
    """
    if len(bundle) > MAX_BUNDLE_BYTES:
        raise EvidenceError(f"{where} is {len(bundle):,} bytes; a bundle has at most {MAX_BUNDLE_BYTES:,}.")
    models, verify, errors = _sigstore()
    try:
        parsed = models.Bundle.from_json(bundle)
    except Exception as error:  # its parser raises classes of several libraries
        raise EvidenceError(f"{where} is no Sigstore bundle ({str(error)[:80]!r}).") from None
    policy = verify.policy.Identity(identity=identity, issuer=issuer)
    try:
        verify.Verifier.production(offline=True).verify_artifact(content, parsed, policy)
    except errors.Error as error:
        raise EvidenceError(f"{where} does not hold ({str(error)[:120]}).") from None


def _sigstore() -> tuple[Any, Any, Any]:
    try:
        from sigstore import errors, models, verify
    except ImportError:
        raise MissingExtraError(
            "Sigstore bundles need the package sigstore: pip install 'jokbo[sign]'."
        ) from None
    return models, verify, errors
