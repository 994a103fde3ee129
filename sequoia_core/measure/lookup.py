"""A causal language model whose logits are looked up by what a token sees.

It speaks Hugging Face's interface, so the engine runs on it with its own cache, masks and passes:
tokens and positions are stored as keys and values, and a token's logits depend on the tokens that
it sees, in the order of their positions, and on nothing else.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.modeling_outputs import CausalLMOutputWithPast

from sequoia_core.decode.model import TreeModel
from sequoia_core.errors import ModelError

Context = tuple[int, ...]


class LookupModel(torch.nn.Module):
    """logits_of: the logits [vocab] that follow each context, in order; asked once for each."""

    def __init__(
        self,
        vocab: int,
        logits_of: Callable[[list[Context]], Iterable[Tensor]],
        *,
        device: torch.device = torch.device("cpu"),  # noqa: B008
        context_length: int = 64,
    ):
        super().__init__()
        self.config = LlamaConfig(vocab_size=vocab, max_position_embeddings=context_length)
        # Token ids are exact in float64, whatever the vocabulary.
        self.device, self.dtype = device, torch.float64
        self._head = torch.nn.Linear(1, vocab, bias=False, device=device)
        self._logits_of = logits_of
        self._known: dict[Context, Tensor] = {}

    def get_output_embeddings(self) -> torch.nn.Linear:
        """For its shape."""
        return self._head

    def logits_after(self, contexts: Sequence[Context]) -> Tensor:
        """Logits [contexts, vocab], looked up or asked for and kept."""
        missing = list(dict.fromkeys(c for c in contexts if c not in self._known))
        if missing:
            self._known.update(zip(missing, self._logits_of(missing), strict=True))
        return torch.stack([self._known[context] for context in contexts])

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values=None,
        use_cache: bool = True,
        logits_to_keep: int = 0,
    ) -> CausalLMOutputWithPast:
        """One sequence of new tokens; the mask is additive, [1, 1, new, all], or None for causal.

        Raises ModelError where a token does not see exactly one path from the text's beginning.
        """
        new = input_ids.shape[1]
        keys, values = past_key_values.update(
            input_ids.double()[:, None, :, None], position_ids.double()[:, None, :, None], 0
        )
        tokens, positions = keys.long().flatten().tolist(), values.long().flatten().tolist()
        seen = _seen(attention_mask, new, len(tokens))[-logits_to_keep:]
        logits = self.logits_after([_path(tokens, positions, row) for row in seen])
        return CausalLMOutputWithPast(logits=logits[None], past_key_values=past_key_values)


def _seen(attention_mask: Tensor | None, new: int, total: int) -> list[list[bool]]:
    if attention_mask is None:
        return torch.ones(total, total).tril().bool()[-new:].tolist()
    return (attention_mask[0, 0] == 0).tolist()


def _path(tokens: list[int], positions: list[int], seen: list[bool]) -> Context:
    path = sorted((p, t) for p, t, s in zip(positions, tokens, seen, strict=True) if s)
    if [position for position, _ in path] != list(range(len(path))):
        raise ModelError("The engine's mask lets a token see something else than one path.")
    return tuple(token for _, token in path)


def remembered(model: TreeModel, vocab: int, longest: int) -> TreeModel:
    """A model that asks another one for each context once, by a plain forward pass of its own.

    Thousands of short runs from one prompt then cost few passes. Logits are cut to `vocab`.
    longest: contexts of more tokens get flat logits unasked; of a text with at most `longest` + 1
    tokens nothing depends on them.
    """

    flat = torch.zeros(vocab, device=model.device)

    @torch.inference_mode()
    def logits_of(contexts: list[Context]) -> list[Tensor]:
        rows = dict.fromkeys(contexts, flat)
        for length in {len(context) for context in contexts if len(context) <= longest}:
            batch = [context for context in contexts if len(context) == length]
            ids = torch.tensor(batch, device=model.device)
            logits = model.plain_logits(ids)[:, -1, :vocab]
            rows |= zip(batch, logits.float(), strict=True)
        return list(rows.values())

    lookup = LookupModel(vocab, logits_of, device=model.device, context_length=model.context_length)
    return TreeModel(lookup, model.name)
