"""The declared model, run on one processor thread in float32: built from sizes, filled from our own reader.

Loss of a window of tokens ``x_1 ... x_T`` is ``-1/(T-1) sum_t log p(x_(t+1) | x_1 ... x_t)``, in nats: what
Transformers computes for ``labels=input_ids`` (mean over positions, shifted by one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from jokbo.records.replay.architecture import checked_config
from jokbo.records.replay.gate import CannotRun
from jokbo.records.replay.weights import MAX_WEIGHT_BYTES, Weights, read_weights, stored_roundoff
from jokbo.views.model import Model

MAX_LOGITS = 1 << 24
"""Logits held at once: bounds the memory of one forward pass, whatever the batch."""

THREADS = 1
"""Fixed, so that sums are added in one order on every machine."""

Split = int
"""Sequences of one forward pass; another number adds the same losses in another order."""


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on a fixed number of threads, as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class Network:
    """A model that can be run: its module and, for each stored name, the parameter it fills.

    Attributes
    ----------
    module : torch.nn.Module
    parameters : mapping of str to torch.nn.Parameter
        By released name; tied ones once.
    aliases : mapping of str to str
        Other stored names of tied parameters, to the name in `parameters`.
    spare : tuple of str
        Stored tensors that are no parameters (buffers), not used.
    vocab_size : int
    outer : frozenset of str
        Parameters that are embeddings or head.
    dropout : bool
        Whether training draws random zeros, so that its losses are not those of evaluation.
    """

    module: Any
    parameters: Mapping[str, Any]
    aliases: Mapping[str, str]
    spare: tuple[str, ...]
    vocab_size: int
    outer: frozenset[str]
    dropout: bool

    @property
    def size(self) -> int:
        """Number of parameters, tied ones once."""
        return sum(int(p.numel()) for p in self.parameters.values())

    def fill(self, weights: Weights) -> None:
        """Set every parameter exactly once.

        Raises
        ------
        CannotRun
            One is missing, of another shape, left over, or tied ones differ.
        """
        import torch

        given = {name: value for name, value in weights.items() if name not in self.spare}
        for alias, name in self.aliases.items():
            value = given.pop(alias, None)
            if value is None:
                continue
            if name in given and not np.array_equal(value, given[name]):
                raise CannotRun("tied_differ", tensor=alias[:80])
            given.setdefault(name, value)
        _agree(given, self.parameters)
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(given[name])))

    def losses(
        self, weights: Weights, windows: np.ndarray, *, split: Split = 32, half: bool = False
    ) -> Float64[np.ndarray, " n"]:
        """Mean next-token loss of each window, nats.

        Parameters
        ----------
        weights : mapping of str to ndarray
        windows : ndarray of int, (n, length)
        split : int
            Windows of one pass.
        half : bool
            Compute in bfloat16 as mixed precision does.

        Raises
        ------
        CannotRun
            Weights do not fit, or a token is outside the vocabulary.
        """
        import torch

        self.fill(weights)
        self.module.eval()
        found = []
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            for ids in self.pieces(windows, split):
                found.append(self._token_losses(ids).double().mean(dim=1).numpy())
        return np.concatenate(found) if found else np.zeros(0)

    def pieces(self, windows: np.ndarray, split: Split) -> list[Any]:
        """Windows as tensors of token ids, at most `split` together and within the bound on logits."""
        import torch

        table = np.asarray(windows)
        if table.ndim != 2 or table.shape[1] < 2:
            raise CannotRun("bad_windows", missing=["windows"])
        if table.size and (int(table.max()) >= self.vocab_size or int(table.min()) < 0):
            raise CannotRun("token_outside", token=int(table.max()), vocab_size=self.vocab_size)
        each = max(1, min(split, MAX_LOGITS // (table.shape[1] * self.vocab_size)))
        ids = torch.from_numpy(table.astype(np.int64))
        return [ids[k : k + each] for k in range(0, len(ids), each)]

    def gradient(self, windows: np.ndarray, *, split: Split = 1 << 20, half: bool = False) -> dict[str, Any]:
        """Gradient of the mean loss over windows at the weights that are filled in, by parameter.

        `half` computes in bfloat16 as mixed precision does: to see how far that moves the result.
        """
        import torch

        self.module.train()
        self.module.zero_grad(set_to_none=True)
        for ids in self.pieces(windows, split):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                loss = self._token_losses(ids).mean() * (len(ids) / len(windows))
            loss.backward()
        return {
            name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in self.parameters.items()
        }

    def _token_losses(self, ids: Any) -> Any:
        import torch

        logits = self.module(input_ids=ids, use_cache=False).logits.float()
        flat = logits[:, :-1].reshape(-1, logits.shape[-1])
        each = torch.nn.functional.cross_entropy(flat, ids[:, 1:].reshape(-1), reduction="none")
        return each.reshape(len(ids), -1)

    def current(self) -> dict[str, np.ndarray]:
        """The weights that are filled in, as copies."""
        return {name: p.detach().numpy().copy() for name, p in self.parameters.items()}


def _agree(given: Mapping[str, np.ndarray], wanted: Mapping[str, Any]) -> None:
    for name in wanted:
        if name not in given:
            raise CannotRun("tensor_missing", tensor=name[:80])
        if tuple(given[name].shape) != tuple(wanted[name].shape):
            raise CannotRun("tensor_shape", tensor=name[:80])
    left = sorted(set(given) - set(wanted))
    if left:
        raise CannotRun("tensor_left", tensor=left[0][:80])


def build(model: Model, document: Mapping[str, Any] | None = None) -> Network:
    """The network of an opened checkpoint, not yet filled.

    Parameters
    ----------
    model : Model
        Gives the tensors' names and shapes, and its own configuration.
    document : mapping, optional
        The record's configuration, where the checkpoint carries none.

    Raises
    ------
    CannotRun
        Transformers does not ship the architecture, or it and the tensors disagree.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = checked_config(model.config or document, n_tensors=len(model.catalog))
    auto: Any = AutoModelForCausalLM
    make: Callable[[], Any] = lambda: auto.from_config(  # noqa: E731
        config, trust_remote_code=False, attn_implementation="eager", dtype=torch.float32
    )
    with torch.device("meta"):
        sketch = _made(make)
    held = sum(int(t.numel()) for t in (*sketch.parameters(), *sketch.buffers()))
    if 4 * held > MAX_WEIGHT_BYTES:
        raise CannotRun("too_large", parameters=held)
    shapes = {name: entry.shape for name, entry in model.catalog.items()}
    found = _network(sketch, shapes)
    _agree({n: np.broadcast_to(np.float32(0), s) for n, s in _owned(found, shapes).items()}, found.parameters)
    # The sizes are now those of tensors that exist; only then is memory taken.
    with torch.random.fork_rng(devices=[]):  # the constructor draws weights that are then replaced
        module = _made(make)
    module.requires_grad_(True)
    return _network(module, shapes)


def _made(make: Callable[[], Any]) -> Any:
    """Run a constructor of Transformers: it knows sizes only, and may still refuse them in its own words."""
    try:
        return make()
    except CannotRun:
        raise
    except Exception as error:
        raise CannotRun("config_refused", field=type(error).__name__) from None


def _owned(network: Network, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Stored shapes by parameter, without buffers and second names."""
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        if name not in network.spare:
            found.setdefault(network.aliases.get(name, name), shape)
    return found


def _network(module: Any, stored: Mapping[str, tuple[int, ...]]) -> Network:
    """Which stored name fills which parameter: names as Transformers writes them, prefix left out or not."""
    prefix = f"{module.base_model_prefix}."
    every = dict(module.named_parameters(remove_duplicate=False))
    bare = not any(name.startswith(prefix) for name in stored) and any(n.startswith(prefix) for n in every)
    released = {n.removeprefix(prefix) if bare else n: p for n, p in every.items()}
    first: dict[int, str] = {}
    parameters: dict[str, Any] = {}
    aliases: dict[str, str] = {}
    for name, parameter in released.items():
        owner = first.setdefault(id(parameter), name)
        if owner == name:
            parameters[name] = parameter
        else:
            aliases[name] = owner
    buffers = {n.removeprefix(prefix) if bare else n for n, _ in module.named_buffers()}
    spare = tuple(
        n for n in stored if n in buffers or n.endswith((".inv_freq", ".masked_bias", ".attn.bias"))
    )
    spare = tuple(n for n in spare if n not in parameters and n not in aliases)
    ends = [module.get_input_embeddings(), module.get_output_embeddings()]
    owners = {id(p) for end in ends if end is not None for p in end.parameters()}
    outer = frozenset(name for name, p in parameters.items() if id(p) in owners)
    vocab = int(module.get_input_embeddings().weight.shape[0])
    said = module.config.to_dict().items()
    dropout = any("drop" in key and isinstance(value, float) and value > 0 for key, value in said)
    return Network(module, parameters, aliases, spare, vocab, outer, dropout)


@dataclass(frozen=True, slots=True)
class Loaded:
    """One checkpoint that can be run.

    Attributes
    ----------
    step : int
    network : Network
        Shared by checkpoints of one shape.
    weights : mapping of str to ndarray
    roundoff : float
        Relative rounding of the stored type.
    """

    step: int
    network: Network
    weights: Weights
    roundoff: float

    def losses(
        self, windows: np.ndarray, *, split: Split = 32, half: bool = False
    ) -> Float64[np.ndarray, " n"]:
        """Mean next-token loss of each window."""
        return self.network.losses(self.weights, windows, split=split, half=half)

    def mean_loss(self, windows: np.ndarray, *, split: Split = 32, half: bool = False) -> float:
        """Mean next-token loss of a batch: what a trainer logs."""
        return float(self.losses(windows, split=split, half=half).mean())


class Loader:
    """Opens checkpoints as runnable models; one network for all of one configuration and shape."""

    def __init__(self, document: Mapping[str, Any] | None) -> None:
        self._document = document
        self._networks: dict[str, Network] = {}

    def load(self, model: Model, step: int) -> Loaded:
        """A checkpoint with its weights.

        Raises
        ------
        CannotRun
            It cannot be built or filled.
        InputError
            It cannot be read.
        """
        import json

        shapes = sorted((name, list(entry.shape)) for name, entry in model.catalog.items())
        key = json.dumps([dict(model.config or self._document or {}), shapes], sort_keys=True, default=str)
        network = self._networks.get(key)
        if network is None:
            network = self._networks[key] = build(model, self._document)
        return Loaded(step, network, read_weights(model), stored_roundoff(model))


def steps_of(loaded: Sequence[Loaded]) -> Int64[np.ndarray, " n"]:
    """Steps of checkpoints."""
    return np.array([one.step for one in loaded], dtype=np.int64)
