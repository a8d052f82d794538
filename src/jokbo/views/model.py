"""A model opened for reading: its source, its catalog, its anatomy and its digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jokbo.errors import ArchitectureError, FormatError
from jokbo.formats import choose
from jokbo.formats.base import TensorCatalog, run_plan
from jokbo.formats.packed import unpack
from jokbo.sources.base import OpenOptions, Source

if TYPE_CHECKING:
    from jokbo.architectures.base import Anatomy
    from jokbo.views.private_grams import HeldGrams, Place
    from jokbo.views.sampling import Sampling
    from jokbo.views.tokens import Vocabulary

MAX_CONFIG_BYTES = 4 << 20


@dataclass
class Model:
    """One checkpoint, understood as far as names and shapes go; weights are fetched by rows.

    Attributes
    ----------
    source : Source
    catalog : TensorCatalog
    config : mapping or None
        Parsed ``config.json``; None where there is none.
    anatomy : Anatomy
        Which tensor plays which role.
    sampling : Sampling or None
        Which rows are held, where this is a fingerprint; None where all are.
    sampled_vocabulary : Vocabulary or None
        Of a fingerprint: the tokens whose rows it holds, and no others.
    grams : mapping of Place to HeldGrams, or None
        Of a private fingerprint, which holds no rows: Gram matrices of them; None of everything else.
    """

    source: Source
    catalog: TensorCatalog
    config: Mapping[str, Any] | None
    anatomy: Anatomy
    sampling: Sampling | None = None
    sampled_vocabulary: Vocabulary | None = None
    grams: Mapping[Place, HeldGrams] | None = None

    @property
    def name(self) -> str:
        """What a person calls the model."""
        return self.source.identity.name

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 over the identity of every weight file.

        A file counts with its own SHA-256 where that is known without reading it all, else
        with its size and the digest of its header; :attr:`digest_covers` says which.
        """
        files = {
            file: {"size": self.source.files[file].size, "sha256": self.source.files[file].sha256}
            if self.source.files[file].sha256
            else {"size": self.source.files[file].size, "header_sha256": header}
            for file, header in self.catalog.header_sha256.items()
        }
        return hashlib.sha256(json.dumps(files, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @property
    def digest_covers(self) -> str:
        """``"weights"`` when every weight file's own SHA-256 is known, else ``"headers"``."""
        known = all(self.source.files[file].sha256 for file in self.catalog.header_sha256)
        return "weights" if known else "headers"

    @cached_property
    def vocabulary(self) -> Vocabulary | None:
        """The tokenizer's tokens by text, or None where no ``tokenizer.json`` is there."""
        if self.sampling is not None:
            return self.sampled_vocabulary
        from jokbo.views.tokens import read_vocabulary

        return read_vocabulary(self.source, self.catalog.tokenizer)

    def close(self) -> None:
        """Release the source."""
        self.source.close()


def open_model(spec: str | os.PathLike[str] | Source | Model, options: OpenOptions | None = None) -> Model:
    """Open a model given as a folder, a file, an address, a hub id or a source.

    Parameters
    ----------
    spec : str, path, Source or Model
        A `Model` is returned as it is.
    options : OpenOptions, optional
        How to reach and cache remote ones.

    Raises
    ------
    InputError
        The model cannot be read or believed.
    """
    if isinstance(spec, Model):
        return spec
    from jokbo.architectures.matching import match
    from jokbo.sources.open import open_source
    from jokbo.views.adapters import adapter_file
    from jokbo.views.fingerprint import is_fingerprint
    from jokbo.views.fingerprint_header import METADATA_KEY

    options = options or OpenOptions()
    source = open_source(spec, options)
    try:
        if (excerpt := is_fingerprint(source.files)) is not None:
            return _open_excerpt(source, excerpt)
        if (adapter := adapter_file(source.files)) is not None:
            source, catalog, config = _open_adapter(source, adapter, options)
        else:
            catalog, config = _read_catalog(source)
            if METADATA_KEY in catalog.metadata:  # a fingerprint under another name
                return _open_excerpt(source, next(iter(catalog.header_sha256)))
        return Model(source, catalog, config, match(catalog, config))
    except (FormatError, ArchitectureError) as error:
        source.close()
        # Two models are open as a rule, and both have a file of this name: say whose it is.
        name = source.identity.name
        raise (error if name in str(error) else type(error)(f"{name}: {error}")) from None
    except BaseException:
        source.close()
        raise


def _open_excerpt(source: Source, file: str) -> Model:
    """A fingerprint; all of it is read, so the source is done with."""
    from jokbo.views.fingerprint import open_fingerprint

    model = open_fingerprint(source, file)
    source.close()
    return model


def _read_catalog(source: Source) -> tuple[TensorCatalog, dict[str, Any] | None]:
    """Catalog and configuration of a whole model; fingerprints that lie beside it are none of its weights."""
    from jokbo.views.fingerprint import SUFFIX

    files = {name: info for name, info in source.files.items() if not name.endswith(SUFFIX)}
    catalog = run_plan(choose.plan_catalog(files), source)
    config = read_json(source, "config.json", max_bytes=MAX_CONFIG_BYTES)
    config = config or (dict(catalog.config) if catalog.config is not None else None)
    return unpack(catalog, config), config


def _open_adapter(
    source: Source, file: str, options: OpenOptions
) -> tuple[Source, TensorCatalog, dict[str, Any] | None]:
    """An adapter over its base: the source of both, and the catalog and configuration of what they make."""
    from jokbo.sources.overlay import OverlaySource
    from jokbo.views import adapters

    settings = read_json(source, adapters.CONFIG, max_bytes=adapters.MAX_CONFIG_BYTES) or {}
    adapters.read_settings(settings, source.identity.name)  # before a base is fetched for nothing
    base = adapters.open_base(source, settings, options)
    try:
        beneath, config = _read_catalog(base)
        stored = adapters.read_adapter(source, file)
        catalog = adapters.overlay(beneath, stored, settings, source.identity.name)
        digests = {adapters.CONFIG: stored.header_sha256[adapters.CONFIG]}
        return OverlaySource(base, source, digests=digests), catalog, config
    except BaseException:
        base.close()
        raise


def read_json(source: Source, file: str, *, max_bytes: int) -> dict[str, Any] | None:
    """Parse a JSON object beside the weights; None where the file is absent."""
    if file not in source.files:
        return None
    data = source.read_file(file, max_bytes=max_bytes)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:  # JSON errors, and integers of absurd length
        raise FormatError(
            f"{source.identity.name}: {file} is not JSON ({error}). Fetch the file again."
        ) from None
    if not isinstance(document, dict):
        raise FormatError(
            f"{source.identity.name}: {file} holds a {type(document).__name__}; expected an object."
        )
    return document
