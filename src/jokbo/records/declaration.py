"""What the maker of a model declares about its training: plain data, checked where it comes in.

A person writes it as ``record.toml``; a pack keeps it inside ``manifest.json``. Unknown keys are
errors. Nothing here is believed: every field is a claim that checks hold against logs and weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class CheckpointRole(StrEnum):
    """What a checkpoint is to the run."""

    TRAINING = "training"
    """A state of the run itself."""
    AVERAGE = "average"
    """A declared average of training checkpoints (soup, EMA)."""
    PUBLISHED = "published"
    """What was released: the last state, or a declared average, perhaps cast."""


class EventKind(StrEnum):
    """What may happen to an honest run, and must then be declared."""

    RESTART = "restart"
    ROLLBACK = "rollback"
    BATCH_CHANGE = "batch_change"
    RATE_CHANGE = "rate_change"
    BACKBONE_CHANGE = "backbone_change"
    PRECISION_CHANGE = "precision_change"
    DATA_CHANGE = "data_change"
    AVERAGE = "average"
    MISSING_LOG = "missing_log"
    MISSING_CHECKPOINTS = "missing_checkpoints"
    DUPLICATE_CHECKPOINTS = "duplicate_checkpoints"
    LOG_EDIT = "log_edit"


@dataclass(frozen=True, slots=True)
class Event:
    """A declared event.

    Attributes
    ----------
    kind : EventKind
    step : int
        Where it happened; the first step that it concerns.
    to_step : int or None
        For a rollback the earlier step gone back to; for a gap, average or repetition the last step that it
        concerns (inclusive); else None.
    note : str
    """

    kind: EventKind
    step: int
    to_step: int | None = None
    note: str = ""

    def concerns(self, first: int, last: int) -> bool:
        """Whether the event lies in the steps from `first` to `last`, both counted in."""
        ends = (self.step, self.step if self.to_step is None else self.to_step)
        return min(ends) <= last and max(ends) >= first


@dataclass(frozen=True, slots=True)
class Model:
    """The declared model: sizes from which compute follows.

    Attributes
    ----------
    config : str
        File of the pack, Hugging Face ``config.json``; empty where each checkpoint carries its own.
    parameters, active_parameters : int
        In all, and used for each token; 0 where not declared (`parameters` then comes from the weights).
    vocab_size : int
        0 where not declared.
    """

    config: str = ""
    parameters: int = 0
    active_parameters: int = 0
    vocab_size: int = 0


@dataclass(frozen=True, slots=True)
class Optimizer:
    """The declared optimizer.

    Attributes
    ----------
    name : str
        ``"adamw"``, ``"adam"``, ``"sgd"``, ``"lion"``, ``"muon"``; another name is allowed, and bounds that
        need to know the update then say "cannot tell".
    betas : tuple of float
        Of Adam and Lion; momentum alone for SGD and Muon.
    eps, weight_decay : float
    decays : str
        Which tensors decay: ``"all"``, ``"matrices"`` (two axes or more) or ``"none"``.
    clip : float
        Global gradient norm; 0 for none.
    vectors : str
        Optimizer of vectors, embeddings and heads where `name` (Muon) trains only hidden matrices; empty
        where one optimizer trains everything.
    rate_scale : float
        Rate of the matrices that `name` trains over that of the log, for two optimizers on one schedule.
    """

    name: str
    betas: tuple[float, ...] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decays: str = "all"
    clip: float = 0.0
    vectors: str = ""
    rate_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The declared learning rate.

    ``rate(step)`` is that of the update which makes checkpoint `step` from ``step - 1``; the first is 1.

    Attributes
    ----------
    kind : str
        ``"constant"``, ``"linear"``, ``"cosine"``, ``"wsd"``, or ``"logged"`` (no formula: the log is all there is).
    peak : float
    warmup_steps : int
        Linear, ``peak * step / warmup_steps`` for steps up to it.
    total_steps : int
    decay_steps : int
        Length of the last, linear part of ``"wsd"``.
    final : float
        Share of the peak that is left at `total_steps`.
    """

    kind: str
    peak: float = 0.0
    warmup_steps: int = 0
    total_steps: int = 0
    decay_steps: int = 0
    final: float = 0.0


@dataclass(frozen=True, slots=True)
class BatchPhase:
    """Batch size from a step on: ``sequences`` of ``sequence_length`` tokens for each update."""

    from_step: int
    sequences: int
    sequence_length: int

    @property
    def tokens(self) -> int:
        """Tokens an update."""
        return self.sequences * self.sequence_length


@dataclass(frozen=True, slots=True)
class Initialisation:
    """The declared law of step 0.

    Attributes
    ----------
    law : str
        ``"normal"``, ``"truncated_normal"`` (at two deviations), ``"uniform"``, or another word (then not checked).
    std : float
        Of matrices and embeddings.
    residual_std : float
        Of projections back into the residual stream, where scaled by depth; 0 where they are as the others.
    norms, biases : float
        What gains and biases begin with.
    stored : str
        Element type of the stored step 0 (``"F32"``, ``"BF16"``, ``"F16"``); empty where it is that of the file.
    procedure : str
        A named procedure that can be run again (``"jokbo-normal/1"``, ``"torch-normal/1"``), or empty.
    seed : int or None
    beacon : str
        File of the pack with the public randomness that the seed was drawn from; empty for none.
    residual : tuple of str
        Shell patterns of the tensors that `residual_std` is for; ``"jokbo-normal/1"`` needs them.
    parameter_order : str
        File of the pack with a tensor's name a line, in the order drawn; ``"torch-normal/1"`` needs it.
    """

    law: str = ""
    std: float = 0.0
    residual_std: float = 0.0
    norms: float = 1.0
    biases: float = 0.0
    stored: str = ""
    procedure: str = ""
    seed: int | None = None
    beacon: str = ""
    residual: tuple[str, ...] = ()
    parameter_order: str = ""


@dataclass(frozen=True, slots=True)
class Hardware:
    """Declared machines: how many, and the dense peak of one in FLOP/s at the declared precision."""

    device: str = ""
    count: int = 0
    peak_flops: float = 0.0
    precision: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """The declared data.

    Attributes
    ----------
    windows : str
        File of the pack: ``.npy`` of token ids, shape (windows, sequence length), unsigned integers.
    order : str
        File of the pack: ``.npy``, shape (updates, sequences), which windows update ``row + 1`` used.
        -1 pads rows of smaller batches.
    held_out : str
        File of the pack like `windows`, never trained on.
    unseen_tokens : tuple of int
        Token ids that no window holds.
    tokens : int
        Total that the run is said to have seen; 0 where not declared.
    epochs : float
        Passes over the data; 1 and below means that every window is fresh.
    shared_order_with : str
        Public run with the same data order, declared: losses are then alike by right.
    """

    windows: str = ""
    order: str = ""
    held_out: str = ""
    unseen_tokens: tuple[int, ...] = ()
    tokens: int = 0
    epochs: float = 1.0
    shared_order_with: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A log of the pack.

    Attributes
    ----------
    path : str
        File or folder of the pack.
    format : str
        A reader's name (:mod:`jokbo.records.readers.choose`), or ``"auto"``.
    pattern : str
        Regular expression with named groups, for the ``"console"`` reader.
    metrics : mapping of str to str
        Standard name -> name in the file, where the table of usual names does not find it.
    sampled : bool
        Declared to be a sample of the rows.
    """

    path: str
    format: str = "auto"
    pattern: str = ""
    metrics: Mapping[str, str] = field(default_factory=dict)
    sampled: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """A checkpoint of the run.

    Attributes
    ----------
    name : str
    step : int
        Updates made; 0 is the initialisation.
    path : str
        Folder or weights file of the pack; empty where only a digest or sampled rows are disclosed.
    rows : str
        File of sampled rows (``*.rows.safetensors``); empty for none.
    digest : str
        SHA-256 of the weights where they are not in the pack; empty where they are.
    optimizer : str
        Optimizer state of the pack (``.safetensors``, or PyTorch's ``optimizer.pt``); empty for none.
    role : CheckpointRole
    average_of : tuple of int
        Steps that an average was made of, equal weights.
    """

    name: str
    step: int
    path: str = ""
    rows: str = ""
    digest: str = ""
    optimizer: str = ""
    role: CheckpointRole = CheckpointRole.TRAINING
    average_of: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Commitments:
    """A chain of commitments made during training: the chain's file, public keys (PEM), time stamps' folder."""

    chain: str = ""
    keys: tuple[str, ...] = ()
    timestamps: str = ""
    tsa_certificates: tuple[str, ...] = ()
    dispute: str = ""


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that is declared; a part that is absent is not disclosed."""

    name: str
    steps: int
    model: Model = field(default_factory=Model)
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None
    batch: tuple[BatchPhase, ...] = ()
    initialisation: Initialisation | None = None
    hardware: Hardware | None = None
    data: Data | None = None
    log: tuple[LogEntry, ...] = ()
    checkpoint: tuple[CheckpointEntry, ...] = ()
    event: tuple[Event, ...] = ()
    commitments: Commitments | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
