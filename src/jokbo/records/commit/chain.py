"""A chain of commitments: JSON Lines, each a signed envelope that names the line before it by digest.

Whoever holds line k knows every line before it: none can be changed, dropped, added or moved without
changing the digest that line k names. A signature says who wrote a line, and a time stamp of an
independent authority when; a chain without the latter has an order, and no dates.

Reading is pure: what is malformed is an error; what is well formed and does not hold (a wrong digest,
a signature of another key) is a *problem*, kept with its line, for checks to judge.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jokbo.errors import EvidenceError, NotFoundError
from jokbo.records.attest import dsse
from jokbo.records.commit.link import MAX_LINE_BYTES, Genesis, Link, parse_link
from jokbo.views.component import Reason

if TYPE_CHECKING:
    from jokbo.records.commit.keys import PublicKey

MAX_LINKS = 200_000
MAX_CHAIN_BYTES = 128 << 20
MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain as read.

    Attributes
    ----------
    links : tuple of Link
    tail : int
        Bytes of a half-written last line, as a kill leaves it; 0 where the file ends as it should.
    stop : int
        Bytes of whole lines.
    """

    links: tuple[Link, ...]
    tail: int = 0
    stop: int = 0

    @property
    def genesis(self) -> Genesis | None:
        """What the first link fixes, if it is a first link."""
        return self.links[0].genesis if self.links else None

    def log_stops(self) -> dict[str, int]:
        """How far each log is committed."""
        return {i.path: i.stop for link in self.links for i in link.items if i.stop is not None}


def read_chain(path: str | os.PathLike[str]) -> Chain:
    """Read a chain's file.

    Raises
    ------
    NotFoundError
        There is no such file.
    EvidenceError
        A line is no link of a chain, or the file is larger than any chain.
    """
    where = Path(path).name
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > MAX_CHAIN_BYTES:
                raise EvidenceError(f"{where} is {size:,} bytes; a chain has at most {MAX_CHAIN_BYTES:,}.")
            return parse_chain(stream, where)
    except OSError as error:
        raise NotFoundError(f"cannot read the chain {path}: {error.strerror}.") from None


def parse_chain(stream: io.BufferedIOBase, where: str = "chain") -> Chain:
    """Read a chain from an open file.

    Raises
    ------
    EvidenceError
        A line is no link of a chain.
    """
    links: list[Link] = []
    stop = tail = 0
    for number, line in enumerate(_lines(stream, where), start=1):
        if not line.endswith(b"\n"):
            tail = len(line)
            break
        if number > MAX_LINKS:
            raise EvidenceError(f"{where} has more than {MAX_LINKS:,} lines; no chain of ours does.")
        links.append(parse_link(line[:-1], f"{where}, line {number}"))
        stop += len(line)
    return Chain(tuple(links), tail, stop)


def _lines(stream: io.BufferedIOBase, where: str) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise EvidenceError(
                f"{where}, line {number} is longer than {MAX_LINE_BYTES:,} bytes; no link of ours is."
            )
        yield line


def chain_keys(chain: Chain) -> tuple[PublicKey, ...]:
    """The keys that a chain's first link names itself: they show that one hand wrote it, not whose.

    Raises
    ------
    EvidenceError
        One is no public key.
    MissingExtraError
        The extra ``records`` is not installed.
    """
    from jokbo.records.commit.keys import public_key_from_der

    genesis = chain.genesis
    return () if genesis is None else tuple(public_key_from_der(der, "link 0") for der in genesis.keys)


def find_problems(chain: Chain, keys: Iterable[PublicKey] | None) -> tuple[Reason, ...]:
    """What of a well-formed chain does not hold, at most 100 problems, by line.

    Parameters
    ----------
    chain : Chain
    keys : iterable of PublicKey or None
        Signatures have to be by these and no others; None leaves signatures unchecked.

    Returns
    -------
    tuple of Reason
        Codes ``no_links``, ``half_written``, ``index_differs``, ``previous_differs``, ``genesis_missing``,
        ``genesis_again``, ``signature_bad``, ``signer_unknown``, ``keys_differ``, ``time_runs_back``, ``log_gap``.
    """
    found: list[Reason] = []
    if not chain.links:
        found.append(Reason("no_links"))
    if chain.tail:
        found.append(Reason("half_written", {"line": len(chain.links) + 1, "bytes": chain.tail}))
    known = None if keys is None else {key.keyid: key for key in keys}
    if known is not None and chain.genesis is not None:
        named = {hashlib.sha256(der).hexdigest() for der in chain.genesis.keys}
        found += [Reason("keys_differ", {"keyid": k[:16]}) for k in sorted(named - set(known))]
    stops: dict[str, int] = {}
    for k, link in enumerate(chain.links):
        before = chain.links[k - 1] if k else None
        found += _place(link, before, k)
        if known is not None:
            found += _signatures(link, k + 1, tuple(known.values()))
        found += _logs(link, k + 1, stops)
        if len(found) >= MAX_PROBLEMS:
            break
    return tuple(found[:MAX_PROBLEMS])


def _place(link: Link, before: Link | None, place: int) -> Iterator[Reason]:
    line = place + 1
    if link.index != place:
        yield Reason("index_differs", {"line": line, "expected": place, "found": link.index})
    expected = "" if before is None else before.sha256
    if link.previous != expected:
        yield Reason(
            "previous_differs", {"line": line, "expected": expected[:16], "found": link.previous[:16]}
        )
    if (link.genesis is None) is (before is None):
        yield Reason("genesis_missing" if before is None else "genesis_again", {"line": line})
    if before is not None and link.time < before.time:
        yield Reason("time_runs_back", {"line": line})


def _signatures(link: Link, line: int, keys: Sequence[PublicKey]) -> Iterator[Reason]:
    signed = dsse.verify(link.envelope, keys)
    for keyid in signed.bad:
        yield Reason("signature_bad", {"line": line, "keyid": keyid[:16]})
    for keyid in signed.unknown:
        yield Reason("signer_unknown", {"line": line, "keyid": keyid[:16]})


def _logs(link: Link, line: int, stops: dict[str, int]) -> Iterator[Reason]:
    for item in link.items:
        if item.start is None or item.stop is None:
            continue
        expected = stops.get(item.path, 0)
        if item.start != expected:
            yield Reason(
                "log_gap", {"line": line, "path": item.path, "expected": expected, "found": item.start}
            )
        stops[item.path] = item.stop
