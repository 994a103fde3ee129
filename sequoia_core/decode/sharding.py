"""A target whose layers are spread over processes: the main one decides, the others follow.

The main process runs the command as it would alone: the draft, all draws, verdicts, clocks and
files are its own. What it does with the target it first tells the others, who do the same with
their parts (`follow`); the layers' sums and gathers then meet in transformers' tensor parallelism.
So the processes cannot part: nothing is decided twice, and no two GPUs need to round alike.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from sequoia_core.decode.loading import DTYPES, load_config, load_part
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.processes import Team
from sequoia_core.errors import InputError, ModelError

LOAD, RESET, FORWARD, COMMIT, COMMIT_FIRST, PLAIN, END = range(7)
FIGURES = 3


@dataclass(frozen=True, slots=True)
class Order:
    """What to do with the target of a number. content: bytes, uint8 [bytes]; None without any."""

    kind: int
    number: int
    figures: list[int]
    content: Tensor | None


class Orders:
    """How orders reach the others: a header of fixed size, then the content, if there is any.

    Headers go from CPU to CPU. What is on a GPU goes to GPUs, so that nobody waits for one.
    """

    def __init__(self, team: Team):
        self.team = team

    def give(
        self, kind: int, number: int = 0, figures: Sequence[int] = (), parts: Sequence[Tensor] = ()
    ) -> None:
        """From the main process. parts: tensors of one device, sent together as bytes."""
        content = torch.cat([_bytes(part) for part in parts]) if parts else torch.empty(0)
        padding = [0] * (FIGURES - len(figures))
        device = int(content.device.type != "cpu")
        header = [kind, number, content.numel(), device, *figures, *padding]
        self.team.broadcast(torch.tensor(header))
        if parts:
            self.team.broadcast(content)

    def take(self) -> Order:
        """In another process: the next one, waited for."""
        header = self.team.broadcast(torch.zeros(4 + FIGURES, dtype=torch.long))
        kind, number, size, on_device, *figures = header.tolist()
        if not size:
            return Order(kind, number, figures, None)
        device = self.team.device if on_device else "cpu"
        content = torch.empty(size, dtype=torch.uint8, device=device)
        return Order(kind, number, figures, self.team.broadcast(content))


def _bytes(part: Tensor) -> Tensor:
    return part.contiguous().reshape(-1).view(torch.uint8)


def _numbers(content: Tensor, *shape: int) -> Tensor:
    return content.view(torch.long).reshape(shape)


class ShardedModel(TreeModel):
    """This process's part of a target. orders: the main process's; None in the others."""

    # Layers meet those of other processes in the midst of a pass.
    capturable = False

    def __init__(self, model, name: str, team: Team, number: int, orders: Orders | None = None):
        self._orders, self._number = orders, number
        super().__init__(model, name)
        self.devices = team.count

    def pack(self) -> None:
        """Nothing: transformers cuts these layers and runs them itself."""

    @property
    def memory_bytes(self) -> int:
        """Bytes of this process's weights and cache on its device."""
        parts = [getattr(p, "to_local", lambda p=p: p)() for p in self.model.parameters()]
        return sum(p.numel() * p.element_size() for p in parts) + self.cache.bytes

    def reset(self, capacity: int) -> None:
        """As a whole model's, in all processes."""
        with self._told(RESET, (capacity,)):
            super().reset(capacity)

    def forward(
        self, token_ids: Tensor, positions: Tensor, visible: Tensor, rows: int = 0
    ) -> Tensor:
        """As a whole model's, in all processes; the logits are complete in each."""
        shape = (len(token_ids), visible.shape[-1], rows)
        with self._told(FORWARD, shape, (token_ids, positions, visible)):
            return super().forward(token_ids, positions, visible, rows)

    def commit(self, slots: Sequence[int]) -> None:
        """As a whole model's, in all processes."""
        slots = list(slots)
        first = slots == list(range(len(slots)))
        kind, parts = (COMMIT_FIRST, ()) if first else (COMMIT, (torch.tensor(slots),))
        with self._told(kind, (len(slots),), parts):
            super().commit(slots)

    def plain_logits(self, token_ids: Tensor) -> Tensor:
        """As a whole model's, in all processes."""
        with self._told(PLAIN, token_ids.shape, (token_ids,)):
            return super().plain_logits(token_ids)

    @contextmanager
    def _told(
        self, kind: int, figures: Sequence[int], parts: Sequence[Tensor] = ()
    ) -> Iterator[None]:
        """Tell the others; what the body does in turn they do by themselves."""
        orders, self._orders = self._orders, None
        if orders:
            orders.give(kind, self._number, figures, parts)
        try:
            yield
        finally:
            self._orders = orders

    def obey(self, order: Order) -> None:
        """Do as the main process does."""
        first, second, rows = order.figures
        if order.kind == RESET:
            self.reset(first)
        elif order.kind == FORWARD:
            size = 2 * first * torch.long.itemsize
            ids, positions = _numbers(order.content[:size], 2, first)
            visible = order.content[size:].view(torch.bool).reshape(first, second)
            self.forward(ids, positions, visible, rows)
        elif order.kind == PLAIN:
            self.plain_logits(_numbers(order.content, first, second))
        else:
            kept = range(first) if order.kind == COMMIT_FIRST else order.content.view(torch.long)
            self.commit([int(slot) for slot in kept])


class Leader:
    """The main process's hold on the others; as a context, it lets them go at its good end."""

    def __init__(self, team: Team):
        self._team, self._orders = team, Orders(team)
        self._loaded = 0

    @property
    def device(self) -> torch.device:
        """The main process's, for all that it does alone."""
        return self._team.device

    def __enter__(self) -> "Leader":
        return self

    def __exit__(self, kind, _error, _traceback) -> None:
        # An error ends the whole run: the others may be in the midst of a pass.
        if kind is None:
            self._orders.give(END)

    @property
    def parts(self) -> int:
        """How many processes share a target."""
        return self._team.count

    def load(self, source: str, name: str, dtype: torch.dtype) -> ShardedModel:
        """Load a target, a part in each process. Raises ModelError where it cannot be cut."""
        _check_device(self._team.device)
        check_divides(load_config(source, name), name, self._team.count)
        words = json.dumps([source, name, str(dtype).removeprefix("torch.")]).encode()
        self._orders.give(LOAD, parts=(torch.tensor(list(words), dtype=torch.uint8),))
        model = load_part(source, name, dtype, self._team.count)
        self._loaded += 1
        return ShardedModel(model, name, self._team, self._loaded - 1, self._orders)


def follow(team: Team) -> None:
    """Do with this process's parts what the main process does with its own, until it ends."""
    orders, parts = Orders(team), []
    while True:
        order = orders.take()
        if order.kind == END:
            return
        if order.kind == LOAD:
            source, name, dtype = json.loads(bytes(order.content.tolist()))
            model = load_part(source, name, DTYPES[dtype], team.count)
            parts.append(ShardedModel(model, name, team, len(parts)))
        else:
            parts[order.number].obey(order)


def check_divides(config, name: str, processes: int) -> None:
    """Raise ModelError for a model that cannot be spread over so many processes, with the reason.

    Its family must have a plan in transformers, and its heads must go round.
    """
    config = config.get_text_config()
    if not getattr(config, "base_model_tp_plan", None):
        raise ModelError(
            f"{name} cannot run on several devices, since transformers has no plan for tensor "
            f"parallelism of {config.model_type} models; choose another model, or start one "
            "process without --tensor-parallel."
        )
    heads = config.num_attention_heads
    for kind, number in (
        ("attention", heads),
        ("key-value", getattr(config, "num_key_value_heads", None) or heads),
    ):
        if number % processes:
            raise ModelError(
                f"{name} has {number} {kind} heads, which {processes} processes cannot share "
                f"evenly; start a number of processes that divides {number}."
            )


def _check_device(device: torch.device) -> None:
    """transformers takes the devices that torch is built for, whatever else is asked for."""
    built_for = (torch.accelerator.current_accelerator() or torch.device("cpu")).type
    if built_for != device.type:
        raise InputError(
            f"transformers spreads a model over {built_for} devices, since this torch is built for "
            f"them, but this run is on the {device.type}; leave out --tensor-parallel or --device."
        )
