"""Step 0 from a seed, the same bits on every machine: the procedure ``jokbo-normal/1``.

A run that begins so can be checked from its first bit: anyone can make its step 0 again, whole or
only some rows of one tensor, without the training code and without PyTorch.

Why the bits are the same everywhere
    The words come from Philox 4x64-10 (Salmon 2011), integer arithmetic whose stream NumPy promises to
    keep (NEP 19 promises that of bit generators, not that of ``Generator.normal``). From there on only
    IEEE 754 additions, multiplications, divisions, square roots and conversions are used, each correctly
    rounded, each a NumPy call of its own so that no compiler can contract two of them. The inverse normal
    distribution is Wichura's rational approximation (AS 241), and the logarithm that its tails need is
    written out below: those of C libraries and of vector units differ in the last bit.

References
----------
Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3. SC '11.
Wichura (1988), Algorithm AS 241: the percentage points of the normal distribution. Applied Statistics 37.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt64

from jokbo.errors import UsageError
from jokbo.records.declaration import Initialisation

PROCEDURE = "jokbo-normal/1"

MAX_SEED = (1 << 63) - 1

_WORDS = 4
"""64-bit words of one Philox counter."""

_BLOCK = 1 << 18
"""Values drawn at a time: bounds the memory, changes no bit."""

_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
"""ln 2 in two parts; the first has so few bits that multiples of it by an exponent are exact."""

# AS 241, PPND16: numerators and denominators, constant first.
_CENTRE = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
_NEAR = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
_FAR = (
    (
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)


def initial_weights(
    shapes: Mapping[str, tuple[int, ...]], *, seed: int, law: Initialisation
) -> dict[str, Float32[np.ndarray, "..."]]:
    """Step 0 of a model: every tensor from a stream of its own, whatever the others are.

    Tensors of two axes and more are normal, with ``law.residual_std`` where ``law.residual`` names them and
    ``law.std`` elsewhere. One axis or none: ``law.biases`` where the name ends with ``bias``, else ``law.norms``.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        As stored.
    seed : int
        From 0 to 2**63 - 1.
    law : Initialisation

    Returns
    -------
    dict of str to ndarray of float32
        Rounded to ``law.stored`` (to nearest, ties to even), each value held as float32.

    Raises
    ------
    UsageError
        The law is not normal, lacks a deviation, or names a type that the procedure does not store.

    Examples
    --------
    >>> law = Initialisation(law="normal", std=0.02)
    >>> initial_weights({"w": (2, 2), "norm": (2,)}, seed=1, law=law)["norm"]
    array([1., 1.], dtype=float32)
    """
    check_law(law, seed)
    return {
        name: initial_values(name, len(shape), 0, math.prod(shape), seed=seed, law=law).reshape(shape)
        for name, shape in shapes.items()
    }


def initial_rows(
    name: str,
    shape: tuple[int, int],
    rows: Sequence[int] | Int64[np.ndarray, " n"],
    *,
    axes: int,
    seed: int,
    law: Initialisation,
) -> Float32[np.ndarray, "rows cols"]:
    """Some rows of one tensor of step 0, without the others.

    Parameters
    ----------
    shape : tuple of int
        The whole tensor as rows and columns; a vector of n is (n, 1).
    rows : sequence of int
    axes : int
        How many the stored tensor has; vectors are not random.
    """
    check_law(law, seed)
    cols = shape[1]
    found = np.empty((len(rows), cols), dtype=np.float32)
    for begin, first, count in _runs(rows):
        values = initial_values(name, axes, first * cols, count * cols, seed=seed, law=law)
        found[begin : begin + count] = values.reshape(count, cols)
    return found


def _runs(rows: Sequence[int] | Int64[np.ndarray, " n"]) -> Iterator[tuple[int, int, int]]:
    """Stretches of neighbouring rows: where each begins in `rows`, its first row, its length."""
    numbers = np.asarray(rows, dtype=np.int64)
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 2) != 1)
    for begin, stop in zip(starts, [*starts[1:], len(numbers)], strict=True):
        yield int(begin), int(numbers[begin]), int(stop - begin)


def check_law(law: Initialisation, seed: int) -> None:
    """Refuse a law or seed that the procedure does not know.

    Raises
    ------
    UsageError
    """
    if law.law not in ("", "normal"):
        raise UsageError(f"{PROCEDURE} draws from a normal law; the declaration says {law.law!r}.")
    if not (math.isfinite(law.std) and law.std > 0):
        raise UsageError(f"{PROCEDURE} needs a standard deviation above 0; initialisation.std is {law.std}.")
    if law.residual_std and not law.residual:
        raise UsageError(
            "initialisation.residual_std is given, and initialisation.residual names no tensors. "
            'List them by pattern, such as ["*.o_proj.weight"].'
        )
    if law.stored not in _ROUNDING:
        raise UsageError(f"initialisation.stored is {law.stored!r}; {PROCEDURE} stores F32, BF16 or F16.")
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"the seed is {seed}; {PROCEDURE} takes 0 to 2**63 - 1.")


def initial_values(
    name: str, axes: int, start: int, count: int, *, seed: int, law: Initialisation
) -> Float32[np.ndarray, " count"]:
    """`count` values of one tensor from flat index `start` on, in row-major order."""
    if axes < 2:
        fill = law.biases if name.endswith("bias") else law.norms
        values = np.full(count, fill, dtype=np.float32)
    else:
        residual = law.residual_std and any(fnmatchcase(name, pattern) for pattern in law.residual)
        std = np.float64(law.residual_std if residual else law.std)
        values = np.empty(count, dtype=np.float32)
        for place in range(0, count, _BLOCK):
            stop = min(place + _BLOCK, count)
            draws = inverse_normal(_words(name, seed, start + place, stop - place))
            values[place:stop] = draws * std
    return _ROUNDING[law.stored](values)


def stream_key(name: str, seed: int) -> int:
    """The 128-bit Philox key of one tensor: SHA-256 of procedure, seed and name, each after its length."""
    parts = (PROCEDURE.encode(), str(seed).encode(), name.encode())
    framed = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return int.from_bytes(hashlib.sha256(framed).digest()[:16], "little")


def _words(name: str, seed: int, start: int, count: int) -> UInt64[np.ndarray, " count"]:
    # Value k of a tensor is word k of its stream, so that rows can be made without those before them.
    skipped, offset = divmod(start, _WORDS)
    stream = np.random.Philox(key=stream_key(name, seed), counter=skipped)
    return np.asarray(stream.random_raw(offset + count), dtype=np.uint64)[offset:]


def inverse_normal(words: UInt64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Standard normal values from 64-bit words, the upper 52 bits of each.

    A word k stands for the probability ``(k + 1/2) / 2**52``: exact in float64, symmetric, never 0 or 1.
    """
    centred = ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52 - 0.5
    values = centred * _ratio(0.180625 - centred * centred, _CENTRE)
    far = np.flatnonzero(np.abs(centred) > 0.425)
    radius = np.sqrt(-_log(0.5 - np.abs(centred[far])))
    tail = np.where(radius <= 5.0, _ratio(radius - 1.6, _NEAR), _ratio(radius - 5.0, _FAR))
    values[far] = np.copysign(tail, centred[far])
    return values


def _ratio(
    x: Float64[np.ndarray, " n"], parts: tuple[tuple[float, ...], tuple[float, ...]]
) -> Float64[np.ndarray, " n"]:
    above, below = (_polynomial(x, part) for part in parts)
    return above / below


def _polynomial(x: Float64[np.ndarray, " n"], terms: Sequence[float]) -> Float64[np.ndarray, " n"]:
    # In place by Horner; every step is one rounded multiplication and one rounded addition.
    value = np.full_like(x, terms[-1])
    for term in terms[-2::-1]:
        np.multiply(value, x, out=value)
        np.add(value, term, out=value)
    return value


def _log(x: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Natural logarithm of positive normal numbers, to about two units in the last place.

    ``x = m 2**e`` with m in [1/sqrt 2, sqrt 2); ``log m = 2 artanh s`` for ``s = (m - 1) / (m + 1)``, by its
    series to s**23: the next term is below 2e-20.
    """
    mantissa, exponent = np.frexp(x)
    low = mantissa < 0.7071067811865476
    mantissa, power = np.where(low, mantissa * 2, mantissa), (exponent - low).astype(np.float64)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    series = _polynomial(s * s, [2.0 / k for k in range(1, 25, 2)])
    return power * _LN2_HIGH + (power * _LN2_LOW + s * series)


def _to_bf16(values: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    bits = values.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


def _to_f16(values: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    return values.astype(np.float16).astype(np.float32)


_ROUNDING = {"": lambda values: values, "F32": lambda values: values, "BF16": _to_bf16, "F16": _to_f16}


def round_to(values: Float32[np.ndarray, "..."], stored: str) -> Float32[np.ndarray, "..."]:
    """Round to a stored type (to nearest, ties to even) and hold the result as float32.

    Examples
    --------
    >>> round_to(np.float32([1 + 2.0**-9]), "BF16")
    array([1.], dtype=float32)
    """
    return _ROUNDING[stored](np.ascontiguousarray(values))


def seed_from_beacon(beacon_bytes: bytes, purpose: str) -> int:
    """63 bits of a public beacon: a drand round, a block's hash, a lottery's result, as a file.

    Whoever binds a seed so could not choose it, as far as they could not choose the beacon. Say beforehand
    which one it will be, and commit to it; one that may be picked afterwards can be picked among many.

    Parameters
    ----------
    beacon_bytes : bytes
        The whole file.
    purpose : str
        What the seed is for, such as ``"initialisation"``: two purposes get seeds that share nothing.

    Examples
    --------
    >>> seed_from_beacon(b"round 1234567", "initialisation")
    1792069063937273848
    """
    text = b"jokbo-seed/1\x00" + len(purpose.encode()).to_bytes(8, "little") + purpose.encode()
    digest = hashlib.sha256(text + hashlib.sha256(beacon_bytes).digest()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
