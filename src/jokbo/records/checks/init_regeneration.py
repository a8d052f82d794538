"""C15, initialisation regenerated: procedure and seed give step 0 again, bit for bit (exact).

Claim
    Step 0 is what the declared procedure makes from the declared seed, and the seed was drawn from public
    randomness and committed to before the training went on.

Statistic
    Share of the values of step 0, of all rows read, that differ from those made again. Any is a violation.

Why it is valid
    ``jokbo-normal/1`` gives the same bits on every machine (:mod:`jokbo.records.initialise`).
    ``torch-normal/1`` is ``Tensor.normal_(0, std)`` with one CPU ``torch.Generator().manual_seed(seed)``, over the
    tensors of two axes and more in the order of ``initialisation.parameter_order``. PyTorch promises its stream
    for one version alone and its vector units differ in the last bits: differences within 1e-5 deviations count
    as equal, and larger ones violate only under the very version that the record declares.

What it catches
    By itself: a trained model as step 0, a random start with other weights mixed in, and a model driven back
    to noise: what a generator makes from a seed is none of them. That later weights come from this step 0 is
    for lineage to say (C18 to C20).

What fools it
    A seed of the maker's own choice can be chosen last, and says nothing of when: such a pass is "cannot
    tell". A beacon that could be picked among many leaves as many choices; that the beacon's file is what the public
    source said has to be looked up by hand, by its digest. Buffers and vectors of unknown roles are not compared.

Power
    Step 0 with a share of 1e-4 to 1e-1 of later weights mixed into it, and later weights in its place, are planted
    into this record's own rows, rounded to its stored type.

References
    :mod:`jokbo.records.initialise`; :func:`jokbo.records.initialise.seed_from_beacon`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float32

from jokbo.errors import InputError, MissingExtraError, UsageError
from jokbo.records.checkpoints import TensorRows
from jokbo.records.checks.base import (
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
    unknown,
)
from jokbo.records.commit.chain import find_problems, read_chain
from jokbo.records.commit.writer import SEED_PURPOSE, read_beacon
from jokbo.records.declaration import Initialisation
from jokbo.records.forgeries import Forgery
from jokbo.records.initialise import (
    PROCEDURE,
    check_law,
    initial_rows,
    round_to,
    seed_from_beacon,
)
from jokbo.records.record import Record
from jokbo.records.torch_initialise import TORCH_PROCEDURE, same_version, torch_rows
from jokbo.views.component import Reason

STORED = {2.0**-24: "F32", 2.0**-8: "BF16", 2.0**-11: "F16"}
TORCH_TOLERANCE = 1e-5
"""Of a standard deviation: what PyTorch's vectorised and plain transforms differ by, and a hundred times that."""

PLANTED_VALUES = 4096


@dataclass(frozen=True, slots=True)
class Compared:
    """Step 0 beside the step 0 made again.

    Attributes
    ----------
    values, differing, beyond : int
        Compared; with other bits; and further apart than PyTorch's own machines are.
    tensors, left_out : int
        Compared; and not, being buffers or vectors of unknown roles.
    worst : str
        The tensor with the most differing values.
    """

    values: int
    differing: int
    beyond: int
    tensors: int
    left_out: int
    worst: str


class InitRegeneration(Check):
    """Make step 0 again."""

    number = 15
    name = "init_regeneration"
    kind = CheckKind.EXACT
    catches = (Forgery.TRAINED_START, Forgery.PLANTED_START, Forgery.UNTRAINING)
    needs = ("step0", "seed", "chain")

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Make step 0 again from its seed, and ask where the seed came from."""
        law = record.declaration.initialisation
        if law is None or not law.procedure or law.seed is None:
            return unknown("no_procedure", missing=["seed"])
        if law.procedure not in (PROCEDURE, TORCH_PROCEDURE):
            return unknown("procedure_unknown", procedure=law.procedure)
        rows = record.rows
        place = next((k for k in rows.training() if rows.entries[k].step == 0), None)
        if place is None:
            return unknown("no_step0", missing=["step0"])
        chosen, left_out = _comparable(rows.tensors, place)
        if not chosen:
            return unknown("nothing_comparable", missing=["step0"])
        try:
            check_law(replace(law, law="normal"), law.seed)
            made = dict(_made(record, law, law.seed, chosen, place))
        except UsageError as error:
            return unknown("law_unfit", problem=str(error)[:200])
        except MissingExtraError:
            return unknown("no_torch", missing=["replay_extra"])
        except LookupError as error:
            return unknown("order_unfit", missing=["seed"], problem=str(error)[:200])
        found = _compare(chosen, made, place, law, left_out)
        return _judge(record, context, law, law.seed, found, chosen, place)


def _comparable(tensors: Mapping[str, TensorRows], place: int) -> tuple[dict[str, TensorRows], int]:
    """Tensors of step 0 that a procedure makes; where the anatomy knows roles, those without are buffers."""
    here = {t.name: t for t in tensors.values() if t.at(place) is not None}
    known = any(t.role != "other" for t in here.values())
    chosen = {name: t for name, t in here.items() if t.role != "other" or (not known and not t.is_vector)}
    return chosen, len(here) - len(chosen)


def _made(
    record: Record, law: Initialisation, seed: int, chosen: Mapping[str, TensorRows], place: int
) -> Iterator[tuple[str, Float32[np.ndarray, "rows cols"]]]:
    """Each tensor's rows made again, in the type that the file stores."""
    rows: Mapping[str, np.ndarray] = {}
    if law.procedure == TORCH_PROCEDURE:
        rows = torch_rows(record, law, seed, chosen)
    for name, tensor in chosen.items():
        values = rows.get(name)
        if values is None:
            axes = 1 if tensor.is_vector else 2
            values = initial_rows(name, tensor.shape, tensor.rows, axes=axes, seed=seed, law=law)
        yield name, _stored(values, tensor, place)


def _stored(values: np.ndarray, tensor: TensorRows, place: int) -> np.ndarray:
    roundoff = float(tensor.roundoff[np.flatnonzero(tensor.checkpoints == place)[0]])
    return round_to(values, STORED.get(roundoff, ""))


def _compare(
    chosen: Mapping[str, TensorRows],
    made: Mapping[str, np.ndarray],
    place: int,
    law: Initialisation,
    left_out: int,
) -> Compared:
    values = differing = beyond = most = 0
    worst = ""
    for name, tensor in chosen.items():
        stored, again = tensor.at(place), made[name]
        assert stored is not None
        apart = stored != again
        count = int(apart.sum())
        values, differing = values + stored.size, differing + count
        if count:
            index = int(np.flatnonzero(tensor.checkpoints == place)[0])
            slack = TORCH_TOLERANCE * law.std + 4 * tensor.roundoff[index] * np.abs(again[apart])
            beyond += int((np.abs(stored[apart].astype(np.float64) - again[apart]) > slack).sum())
        if count > most:
            most, worst = count, name
    return Compared(values, differing, beyond, len(chosen), left_out, worst)


def _judge(
    record: Record,
    context: CheckContext,
    law: Initialisation,
    seed: int,
    found: Compared,
    chosen: Mapping[str, TensorRows],
    place: int,
) -> CheckResult:
    torch_made = law.procedure == TORCH_PROCEDURE
    differing = found.beyond if torch_made else found.differing
    details: dict[str, Any] = {
        "procedure": law.procedure,
        "values": found.values,
        "differing": found.differing,
        "tensors": found.tensors,
        "left_out": found.left_out,
        "whole": all(tensor.whole for tensor in chosen.values()),
    }
    statistic = differing / found.values
    numbers: dict[str, Any] = {"count": differing, "total": found.values, "tensor": found.worst}
    if differing and torch_made and not same_version(record):
        return replace(
            unknown("torch_differs", **numbers), statistic=statistic, threshold=0.0, details=details
        )
    contradicted, missing, notes = _binding(record, context, law, seed)
    if differing:
        contradicted.insert(0, Reason("bits_differ", numbers))
    if contradicted:
        observation, reasons = Observation.VIOLATED, contradicted
    else:
        agreed = Reason("regenerated", {"count": found.values, "tensors": found.tensors})
        observation = Observation.UNKNOWN if missing else Observation.HOLDS
        reasons = [agreed, *notes]
    holds = observation is Observation.HOLDS
    return CheckResult(
        observation,
        tuple(reasons),
        statistic=statistic,
        threshold=0.0,
        planted=_plants(record, context, chosen, place) if holds else (),
        missing=() if contradicted else tuple(missing),
        details=details,
    )


def _binding(
    record: Record, context: CheckContext, law: Initialisation, seed: int
) -> tuple[list[Reason], list[str], list[Reason]]:
    """Where the seed came from: contradictions, what is missing, and remarks."""
    contradicted: list[Reason] = []
    if not law.beacon:
        return contradicted, ["beacon"], [Reason("seed_chosen")]
    data = read_beacon(record.path(law.beacon))
    beacon = hashlib.sha256(data).hexdigest()
    drawn = seed_from_beacon(data, SEED_PURPOSE)
    if drawn != seed:
        return [Reason("seed_not_of_beacon", {"seed": str(seed), "expected": str(drawn)})], [], []
    made = record.declaration.commitments
    if made is None or not made.chain:
        return contradicted, ["chain"], [Reason("seed_not_committed")]
    chain = read_chain(record.path(made.chain))
    genesis = chain.genesis
    if genesis is None or genesis.seed is None:
        return contradicted, ["chain"], [Reason("seed_not_committed")]
    if genesis.seed != seed:
        contradicted.append(Reason("commitment_differs", {"seed": str(seed), "committed": str(genesis.seed)}))
    elif genesis.beacon != beacon:
        contradicted.append(
            Reason("beacon_differs", {"beacon": beacon[:16], "committed": genesis.beacon[:16]})
        )
    if contradicted:
        return contradicted, [], []
    if len(chain.links) < 2 or _broken(record, context, made.keys, chain):
        return contradicted, ["chain"], [Reason("chain_unfit")]
    return contradicted, [], [Reason("bound", {"beacon": beacon[:16], "links": len(chain.links) - 1})]


def _broken(record: Record, context: CheckContext, declared: tuple[str, ...], chain: Any) -> bool:
    from jokbo.records.commit.keys import load_public_keys

    paths = context.keys or tuple(str(record.path(key)) for key in declared)
    try:
        keys = load_public_keys(paths) if paths else None
    except (MissingExtraError, InputError):
        return True
    problems = [p for p in find_problems(chain, keys) if p.code != "half_written"]
    return keys is None or bool(problems)


_WAYS = (
    (Forgery.TRAINED_START, "trained"),
    (Forgery.TRAINED_START, "rescaled"),
    (Forgery.TRAINED_START, "noisy"),
    (Forgery.PLANTED_START, "mixed"),
    (Forgery.UNTRAINING, "reversed"),
)


def _plants(
    record: Record, context: CheckContext, chosen: Mapping[str, TensorRows], place: int
) -> tuple[Planted, ...]:
    """Later weights in place of step 0, and mixed into it; found where any stored value changes."""
    rng = context.draw(record, InitRegeneration.name, "plants")
    names = [name for name, tensor in chosen.items() if not tensor.is_vector and tensor.values.size]
    found = dict.fromkeys(_WAYS, 0)
    for _ in range(context.n_plants if names else 0):
        tensor = chosen[names[int(rng.integers(len(names)))]]
        start = tensor.at(place)
        assert start is not None
        before = start.ravel()[:PLANTED_VALUES]
        last = tensor.values[-1].ravel()[:PLANTED_VALUES]
        if len(tensor.checkpoints) == 1:
            # No later weights in this record: somebody else's are as far away as another draw.
            last = rng.permutation(before)
        noise = rng.standard_normal(last.shape) * before.std()
        share = 10.0 ** rng.uniform(-4, -1)
        made = (last, last * (before.std() / max(float(last.std()), 1e-300)), last + noise,
                before * (1 - share) + last * share, share * last + noise)  # fmt: skip
        for way, forged in zip(_WAYS, made, strict=True):
            found[way] += bool((_stored(forged.astype(np.float32), tensor, place) != before).any())
    tried = context.n_plants if names else 0
    return tuple(Planted(forgery, count, tried, variant=way) for (forgery, way), count in found.items())
