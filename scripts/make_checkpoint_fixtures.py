"""Write the optimizer states and distributed checkpoints that tests read, with PyTorch itself.

``python scripts/make_checkpoint_fixtures.py`` (with PyTorch installed) writes into
``tests/unit/records/data``. The numbers are a function of their place, so that tests know them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp

DATA = Path(__file__).resolve().parents[1] / "tests" / "unit" / "records" / "data"
STEPS = 3


def model() -> torch.nn.Module:
    """Two layers whose weights are 0, 1, 2, ... over 8, tensor by tensor."""
    made = torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.LayerNorm(6), torch.nn.Linear(6, 4, bias=False)
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 8)
    return made


def trained(made: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict:
    """The optimizer's state after three updates with gradients of 1, 2 and 3."""
    for step in range(STEPS):
        for parameter in made.parameters():
            parameter.grad = torch.full_like(parameter, step + 1.0)
        optimizer.step()
    return optimizer.state_dict()


def optimizer_states() -> None:
    """``optimizer.pt`` as an optimizer with named parameters, one without, and a trainer's two groups give it."""
    named = model()
    torch.save(trained(named, torch.optim.AdamW(named.named_parameters(), lr=0.01)), DATA / "adamw-named.pt")
    plain = model()
    torch.save(trained(plain, torch.optim.AdamW(plain.parameters(), lr=0.01)), DATA / "adamw-numbered.pt")
    torch.save(plain.state_dict(), DATA / "ordered.bin")
    grouped = model()
    groups = [
        {"params": [p for p in grouped.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in grouped.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    torch.save(trained(grouped, torch.optim.AdamW(groups, lr=0.01)), DATA / "adamw-groups.pt")
    momentum = model()
    optimizer = torch.optim.SGD(momentum.named_parameters(), lr=0.01, momentum=0.9)
    torch.save(trained(momentum, optimizer), DATA / "sgd-named.pt")


def one_rank() -> None:
    """A distributed checkpoint of model and optimizer that one process wrote."""
    made = model()
    state = trained(made, torch.optim.AdamW(made.named_parameters(), lr=0.01))
    shutil.rmtree(DATA / "dcp-one", ignore_errors=True)
    dcp.save(
        {"model": made.state_dict(), "optimizer": {"state": {str(k): v for k, v in state["state"].items()}}},
        checkpoint_id=DATA / "dcp-one",
        no_dist=True,
    )


def rank(index: int, count: int, folder: str, meeting: str) -> None:
    """One of the processes that write a checkpoint cut by rows."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=index, world_size=count)
    mesh = init_device_mesh("cpu", (count,))
    state = {
        name: distribute_tensor(tensor.to(torch.bfloat16), mesh, [Shard(0)])
        for name, tensor in model().state_dict().items()
    }
    dcp.save(state, checkpoint_id=folder)
    dist.destroy_process_group()


def cut_by_rows() -> None:
    """A distributed checkpoint whose tensors two processes hold by rows, as FSDP cuts them."""
    shutil.rmtree(DATA / "dcp-rows", ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(rank, args=(2, str(DATA / "dcp-rows"), f"{folder}/meeting"), nprocs=2)


def member_by_name() -> None:
    """A distributed checkpoint with an enumeration's member as only Python 3.11.0 to 3.11.3 write it."""
    if not (3, 11) <= sys.version_info[:3] < (3, 11, 4):
        return
    folder = DATA / "dcp-python-3.11.2"
    shutil.rmtree(folder, ignore_errors=True)
    state = {"w": torch.ones(3, 2, dtype=torch.bfloat16), "v": torch.arange(4.0)}
    dcp.save(state, checkpoint_id=folder, no_dist=True)


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    optimizer_states()
    one_rank()
    member_by_name()
    cut_by_rows()
