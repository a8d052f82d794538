"""The lot of a tie rule: drawn so that everybody can draw it again.

Each team has a ticket, ``SHA-256(key, team id)``; the key is ``SHA-256`` over the round's frozen digest and, where the
round named one beforehand, a public random value that came into being later. The lowest tickets go.

Whoever writes the round can try seeds until the lot falls as he likes, and everybody who sees the frozen file can
compute it. So a lot from the frozen content alone *can be foreseen*, and is said to be. A lot with a later public value
cannot, by anybody, as long as the value was not known when the round was frozen
(``docs/design/0028-league-round.md``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from jokbo.errors import UsageError
from jokbo.league.round import Round

MAX_RANDOMNESS = 1000


def check_randomness(round: Round, randomness: str | None) -> str | None:
    """The public value as it goes into the lot, without blanks around it.

    Raises
    ------
    UsageError
        It is empty or too long, or the round did not say beforehand which value it would be.
    """
    if randomness is None:
        return None
    if round.elimination.lot is None:
        raise UsageError(
            f"the round {round.id!r} names no public randomness (elimination/lot), so none may be given: a value "
            "chosen afterwards would choose who goes. Leave it out."
        )
    value = randomness.strip()
    if not 1 <= len(value) <= MAX_RANDOMNESS:
        raise UsageError(
            f"expected a random value of 1 to {MAX_RANDOMNESS:,} characters, found {len(value):,}."
        )
    return value


def tickets(digest: str, teams: Iterable[str], randomness: str | None) -> Mapping[str, str]:
    """Each team's ticket, 64 hexadecimal digits; the order of teams does not matter.

    Parameters
    ----------
    digest : str
        Of the round's content, seed included.
    randomness : str, optional
        The public value that the round named beforehand.

    Examples
    --------
    >>> sorted(tickets("0" * 64, ["b", "a"], None)) == ["a", "b"]
    True
    """
    key = hashlib.sha256(f"jokbo.league.lot/1\n{digest}\n{randomness or ''}\n".encode()).digest()
    return {team: hashlib.sha256(key + team.encode()).hexdigest() for team in teams}
