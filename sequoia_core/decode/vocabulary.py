"""Whether two models speak the same tokens, and which of them end a text."""

from torch import Tensor

from sequoia_core.errors import ModelError


def check_tokenizers(target, draft, names: list[tuple[str, str]]) -> None:
    """The same ids must mean the same tokens in both models.

    One may have tokens at the end that the other lacks, as a later member of a family does; then
    both models' outputs must reach them, which `common_vocab` looks at. names: source and display
    name of target and draft. Raises ModelError, naming both.
    """
    ours, theirs = _by_id(target), _by_id(draft)
    shared = ours.keys() & theirs.keys()
    same = sum(ours[index] == theirs[index] for index in shared)
    if same < len(shared) or len(shared) < min(len(ours), len(theirs)):
        raise ModelError(
            f"{names[0][1]} and {names[1][1]} do not share a vocabulary ({len(ours):,} and "
            f"{len(theirs):,} tokens, {same:,} of them equal); choose a draft of the same family."
        )
    if target.eos_token_id != draft.eos_token_id:
        raise ModelError(
            f"{names[0][1]} ends a text with token {target.eos_token_id} and {names[1][1]} with "
            f"{draft.eos_token_id}; choose a draft of the same family."
        )


def _by_id(tokenizer) -> dict[int, str]:
    return {index: token for token, index in tokenizer.get_vocab().items()}


def common_vocab(outputs: tuple[int, int], tokenizers, names: list[tuple[str, str]]) -> int:
    """Logits used of both models; rows beyond it are padding of the embedding matrix.

    outputs: both models' numbers of logits. Raises ModelError where a token has no logit.
    """
    vocab = min(outputs)
    sizes = [max(tokenizer.get_vocab().values()) + 1 for tokenizer in tokenizers]
    if max(sizes) <= vocab:
        return vocab
    if sizes[0] != sizes[1]:
        raise ModelError(
            f"{names[0][1]} and {names[1][1]} do not share a vocabulary ({sizes[0]:,} and "
            f"{sizes[1]:,} tokens, and outputs for {outputs[0]:,} and {outputs[1]:,}); choose a "
            "draft of the same family."
        )
    raise ModelError(
        f"The tokenizer has token {max(sizes) - 1:,} but the models' outputs end at {vocab - 1:,}; "
        "the tokenizer does not belong to these models."
    )


def within(logits: Tensor, vocab: int) -> Tensor:
    """The logits of the first `vocab` tokens, [..., vocab]; as they are where that is all."""
    return logits if logits.shape[-1] == vocab else logits[..., :vocab]


def end_tokens(model, tokenizer) -> frozenset[int]:
    """Tokens that end a text: the Hugging Face model's own list, else the tokenizer's."""
    listed = getattr(model.generation_config, "eos_token_id", None)
    if listed is None:
        listed = tokenizer.eos_token_id
    if listed is None:
        return frozenset()
    return frozenset(listed if isinstance(listed, list) else [listed])
