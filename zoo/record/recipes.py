"""What a record run may be, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from jokbo.records.declaration import BatchPhase, Event, Initialisation, Optimizer, Schedule
from jokbo.records.initialise import PROCEDURE

STEPS = 300
INIT_STD = 0.02
TORCH_PROCEDURE = "torch-normal/1"
PARAMETER_ORDER = "parameter_order.txt"
# Dense at the start and at the end, where short segments can be run again; 12 with step 0.
CHECKPOINTS = (0, 8, 16, 32, 64, 100, 150, 200, 250, 284, 292, 300)
STATES = (8, 16, 284, 292, 300)
ADAMW = Optimizer("adamw", betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, decays="matrices", clip=1.0)
COSINE = Schedule("cosine", peak=3e-3, warmup_steps=20, total_steps=STEPS, final=0.1)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run.

    Attributes
    ----------
    kind : str
        Which member of the family it is.
    seed : int
        Decides initialisation, windows and order.
    number : int
        Of the run among those of its kind.
    steps : int
    optimizer, schedule, batch
        As they will be declared.
    checkpoints, states : tuple of int
        Steps whose weights, and whose optimizer state, are kept.
    procedure : str
        How step 0 is drawn from the seed.
    storage : str
        Element type of stored weights.
    tied : bool
        One matrix for embedding and head.
    restarts : tuple of int
        After these updates the process ends and another goes on from its saved state.
    rollback : tuple of int or None
        (step, to): at this step go back to the state of the earlier one and go on with other windows.
    rewarm : tuple
        (step, peak): from there on the schedule is a new warm-up to another peak, logged only.
    norms_from : int
        From this step on queries and keys are normalised (another class of model); 0 for never.
    missing_log : tuple of int or None
        First and last step whose log rows are lost.
    average : tuple of int
        Steps whose weights are averaged into the published model.
    events : tuple of Event
        Declared as they are.
    """

    kind: str
    seed: int
    number: int = 0
    steps: int = STEPS
    optimizer: Optimizer = ADAMW
    schedule: Schedule = COSINE
    batch: tuple[BatchPhase, ...] = (BatchPhase(1, 16, 64),)
    checkpoints: tuple[int, ...] = CHECKPOINTS
    states: tuple[int, ...] = STATES
    procedure: str = PROCEDURE
    storage: str = "F32"
    tied: bool = False
    restarts: tuple[int, ...] = ()
    rollback: tuple[int, int] | None = None
    rewarm: tuple[int, float] | None = None
    norms_from: int = 0
    missing_log: tuple[int, int] | None = None
    average: tuple[int, ...] = ()
    events: tuple[Event, ...] = field(default=())

    @property
    def name(self) -> str:
        """Folder of the run."""
        return f"{self.kind}-{self.number}"

    @property
    def law(self) -> Initialisation:
        """The declared law of step 0."""
        order = PARAMETER_ORDER if self.procedure == TORCH_PROCEDURE else ""
        return Initialisation(
            "normal",
            std=INIT_STD,
            stored=self.storage,
            procedure=self.procedure,
            seed=self.seed,
            parameter_order=order,
        )
