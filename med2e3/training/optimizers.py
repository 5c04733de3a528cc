"""The optimizers that a recipe can name: AdamW for all, or Muon for the matrices inside.

Knows nothing of losses or steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@dataclass(frozen=True)
class Schedule:
    """How AdamW is driven. `warmup` is the share of the steps in which the rate rises; `floor` is
    where the cosine ends, as a share of the peak. The defaults are the demo's.
    """

    warmup: float = 0.04
    floor: float = 0.02
    weight_decay: float = 0.03
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: float = 1.0


def adamw(module: nn.Module, rate: float, schedule: Schedule) -> Optimizer:
    """AdamW; matrices decay; norms, biases and positions do not."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": schedule.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=schedule.betas)


def muon(module: nn.Module, rate: float, schedule: Schedule) -> Optimizer:
    """Muon for the matrices of linear layers, AdamW for the rest.

    The demo's language model came to the same loss on text in a third of the computing that AdamW
    took. The output layer shares the embedding's table, and stays with it.
    """
    tables = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    linear = [m.weight for m in module.modules() if isinstance(m, nn.Linear)]
    inner = {id(w): w for w in linear if w.requires_grad and id(w) not in tables}
    rest = [p for p in module.parameters() if p.requires_grad and id(p) not in inner]
    return Paired(
        torch.optim.Muon(
            list(inner.values()),
            lr=rate,
            weight_decay=schedule.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(rest, lr=rate, betas=schedule.betas, weight_decay=0.0),
    )


#: Name in a recipe → who makes it.
OPTIMIZERS: dict[str, Callable[[nn.Module, float, Schedule], Optimizer]] = {
    "adamw": adamw,
    "muon": muon,
}


class Paired(Optimizer):
    """Two optimizers of different parameters that step as one."""

    def __init__(self, first: Optimizer, second: Optimizer) -> None:
        self.pair = (first, second)
        self.defaults: dict[str, Any] = {}

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The groups of both: a rate set here is theirs."""
        return [*self.pair[0].param_groups, *self.pair[1].param_groups]

    @property
    def state(self) -> dict[Tensor, Any]:  # type: ignore[override]
        """What both keep of each parameter."""
        return dict(chain(*(part.state.items() for part in self.pair)))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets all gradients."""
        for part in self.pair:
            part.zero_grad(set_to_none)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step of both; there is no closure."""
        for part in self.pair:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of both, in order."""
        return {"pair": [part.state_dict() for part in self.pair]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What `state_dict` gave; raises `KeyError` for another optimizer's state."""
        for part, state in zip(self.pair, state_dict["pair"], strict=True):
            part.load_state_dict(state)
