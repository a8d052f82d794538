"""A model that is another one than its label says: what was compared is not what the claim names."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file


def applies(case: Case) -> bool:
    """Something is said, or known, of what was loaded."""
    return case.models is not None or any(model.loaded for model in case.claim.models.values())


def check(case: Case) -> Iterator[Finding]:
    """Hold what was loaded against the label, and digests against the models opened."""
    for label, model in case.claim.models.items():
        names = {text.casefold() for text in (label, model.name, model.repository) if text}
        if model.loaded and model.loaded.partition("@")[0].strip().casefold() not in names:
            numbers = {"label": model.name or label, "loaded": model.loaded}
            yield Finding("mislabelled_control", Severity.FAULT, in_file(case, f"models/{label}"), numbers)
    for label, digest in ({} if case.models is None else case.models.digests).items():
        named = case.claim.models[label].digest
        if named and named != digest:
            numbers = {"label": label, "named": named[:16], "found": digest[:16]}
            places = in_file(case, f"models/{label}/digest")
            yield Finding("mislabelled_control", Severity.FAULT, places, numbers, "digest")
