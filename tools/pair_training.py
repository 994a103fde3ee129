"""The training loop of the bundled pair: Muon for matrices, AdamW for the rest, stages by time."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from pair_data import VOCAB, Windows
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

CONTEXT = 512

Loss = Callable[[torch.Tensor], torch.Tensor]


def build(hidden: int, intermediate: int, layers: int, heads: int) -> LlamaForCausalLM:
    """A Llama with tied embeddings for the pair's vocabulary."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=hidden,
            intermediate_size=intermediate,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def deepen(shallow: LlamaForCausalLM, layers: int) -> LlamaForCausalLM:
    """The same function with more layers: copies whose output projections are zero.

    A shallow model learns the cheap things several times faster; the copies start as the
    identity and with useful features ("Stacking Your Transformers", arXiv 2405.15319, section 3).
    """
    config = LlamaConfig(**{**shallow.config.to_dict(), "num_hidden_layers": layers})
    deep = LlamaForCausalLM(config)
    repeat = layers // shallow.config.num_hidden_layers
    state = {k: v for k, v in shallow.state_dict().items() if ".layers." not in k}
    for index in range(layers):
        source, copy = divmod(index, repeat)
        prefix = f"model.layers.{source}."
        for name, value in shallow.state_dict().items():
            if name.startswith(prefix):
                silent = copy > 0 and name.endswith(("o_proj.weight", "down_proj.weight"))
                state[f"model.layers.{index}.{name[len(prefix) :]}"] = (
                    torch.zeros_like(value) if silent else value.clone()
                )
    deep.load_state_dict(state)
    return deep


@dataclass(slots=True)
class Stage:
    """One stretch of training: how long, how wide, and the part at its end that cools down."""

    name: str
    minutes: float
    length: int
    tokens_per_step: int = 8192
    matrix_rate: float = 0.012
    other_rate: float = 3e-3
    warm_up: float = 0.02
    cool_down: float = 0.0

    def scale(self, progress: float) -> float:
        """Learning-rate factor at progress 0..1: linear warm-up, constant, linear to zero."""
        if progress < self.warm_up:
            return max(progress / self.warm_up, 0.01)
        if progress > 1 - self.cool_down:
            return max((1 - progress) / self.cool_down, 0.0)
        return 1.0


def next_token_loss(model: torch.nn.Module) -> Loss:
    """Mean cross-entropy of the next token; the argument is a batch of windows."""

    def loss(tokens: torch.Tensor) -> torch.Tensor:
        logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
        return functional.cross_entropy(
            logits.reshape(-1, VOCAB).float(), tokens[:, 1:].reshape(-1)
        )

    return loss


class Teacher:
    """The target's logits by window, computed once: the draft then learns several times faster.

    Kept as float16 on the CPU: 8 KB a token.
    """

    def __init__(self, model: torch.nn.Module):
        self.model = model
        self.known: dict[bytes, torch.Tensor] = {}

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """[windows, length, vocab] for windows seen before or not."""
        keys = [window.numpy().tobytes() for window in tokens.cpu()]
        unseen = [row for row, key in enumerate(keys) if key not in self.known]
        if unseen:
            # Always a whole batch, so that a compiled model sees one shape only.
            fresh = self.model(input_ids=tokens, use_cache=False).logits.half().cpu()
            self.known.update((keys[row], fresh[row].clone()) for row in unseen)
        # float() first: autocast on the CPU cannot stack float16.
        return torch.stack([self.known[key].float() for key in keys]).to(tokens.device)


def distillation_loss(model: torch.nn.Module, teacher: Teacher) -> Loss:
    """Cross-entropy of the draft against the target's whole next-token distribution."""

    def loss(tokens: torch.Tensor) -> torch.Tensor:
        wanted = teacher.logits(tokens).softmax(-1)
        logits = model(input_ids=tokens, use_cache=False).logits.float()
        return -(wanted * logits.log_softmax(-1)).sum(-1).mean()

    return loss


def optimizers(model: LlamaForCausalLM, stage: Stage) -> list[torch.optim.Optimizer]:
    """Muon on the layers' matrices, AdamW on embeddings and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and ".layers." in n]
    others = [p for n, p in model.named_parameters() if not (p.ndim == 2 and ".layers." in n)]
    return [
        torch.optim.Muon(matrices, lr=stage.matrix_rate, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(others, lr=stage.other_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


class Trainer:
    """Runs one stage and can be killed: the checkpoint holds weights, optimizers and time spent."""

    def __init__(self, model, stage: Stage, data: Windows, work: Path, report: Callable):
        self.model, self.stage, self.data, self.report = model, stage, data, report
        self.optimizers = optimizers(model, stage)
        self.rates = [stage.matrix_rate, stage.other_rate]
        self.file = work / f"{stage.name}.pt"
        self.seconds, self.windows = 0.0, 0
        if self.file.exists():
            self._load()

    @property
    def progress(self) -> float:
        return self.seconds / (self.stage.minutes * 60)

    def run(self, loss: Loss, validate: Callable[[], float]) -> None:
        """Train until the stage's minutes are spent, counting only time spent training."""
        saved = time.perf_counter()
        while self.progress < 1:
            started = time.perf_counter()
            value = self._step(loss)
            self.seconds += time.perf_counter() - started
            if time.perf_counter() - saved > 300:
                saved = time.perf_counter()
                self.save()
                self.report(f"{self.stage.name}: validation loss {validate():.4f}")
            rate = self.windows * self.stage.length / self.seconds
            self.report(
                f"{self.stage.name}: {self.progress:6.1%}  loss {value:.3f}  {rate:,.0f} tokens/s"
            )
        self.save()
        self.report(f"{self.stage.name}: done, validation loss {validate():.4f}")

    def _step(self, loss: Loss) -> float:
        scale = self.stage.scale(self.progress)
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * scale
        count = self.stage.tokens_per_step // self.stage.length
        with torch.autocast(self.model.device.type, torch.bfloat16):
            value = loss(self.data.batch(self.windows, count).to(self.model.device))
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.windows += count
        if not math.isfinite(value.item()):
            raise SystemExit(f"training diverged in stage {self.stage.name}: loss {value.item()}")
        return value.item()

    def save(self) -> None:
        """Write the checkpoint so that a kill during the write leaves the old one whole."""
        part = self.file.with_suffix(".part")
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizers": [o.state_dict() for o in self.optimizers],
                "seconds": self.seconds,
                "windows": self.windows,
            },
            part,
        )
        part.replace(self.file)

    def _load(self) -> None:
        state = torch.load(self.file, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.seconds, self.windows = state["seconds"], state["windows"]


@torch.no_grad()
def validation_loss(model: torch.nn.Module, windows: torch.Tensor) -> float:
    """Mean next-token cross-entropy over held-out windows, in nats."""
    losses = []
    for chunk in windows.to(model.device).split(4):
        with torch.autocast(model.device.type, torch.bfloat16):
            losses.append(next_token_loss(model)(chunk).item())
    return sum(losses) / len(losses)


@torch.no_grad()
def first_child_acceptance(target, draft, windows: torch.Tensor, temperature: float) -> float:
    """Mean over positions of sum(min(P, Q)), at temperature 0 the rate of equal argmax.

    That is the chance that one drafted token is accepted (arXiv 2211.17192, theorem 3.5).
    """
    rates = []
    for chunk in windows.to(target.device).split(4):
        p = target(input_ids=chunk, use_cache=False).logits.float()
        q = draft(input_ids=chunk, use_cache=False).logits.float()
        if temperature == 0:
            rates.append((p.argmax(-1) == q.argmax(-1)).float().mean().item())
            continue
        p, q = (p / temperature).softmax(-1), (q / temperature).softmax(-1)
        rates.append(torch.minimum(p, q).sum(-1).mean().item())
    return sum(rates) / len(rates)
