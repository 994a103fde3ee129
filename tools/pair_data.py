"""Text to training windows for the bundled pair: the tokenizer and a seeded, resumable order."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
VOCAB = 4096


def train_tokenizer(text_file: Path) -> PreTrainedTokenizerFast:
    """Byte-level BPE with 4,096 entries; the document separator is both BOS and EOS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(text_file)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
    )


def encode_file(tokenizer: PreTrainedTokenizerFast, text_file: Path) -> np.ndarray:
    """Token ids of a whole file, uint16 [tokens]; separators become the end-of-text token."""
    documents = text_file.read_text(encoding="utf-8").split(END_OF_TEXT)
    end = tokenizer.eos_token_id
    encoded = tokenizer(
        [document.strip() for document in documents if document.strip()],
        add_special_tokens=False,
        return_attention_mask=False,
        verbose=False,
    )["input_ids"]
    return np.concatenate([np.array([end, *ids], dtype=np.uint16) for ids in encoded])


class Windows:
    """Every epoch cuts the text at a new offset and visits the windows in a new order.

    The order depends on (seed, epoch) alone, so a resumed run reads on where it stopped. With
    `shift` off every epoch has the same windows, so that what is known of one can be kept.
    """

    def __init__(self, tokens: np.ndarray, length: int, seed: int, *, shift: bool = True):
        self.tokens, self.length, self.seed, self.shift = tokens, length, seed, shift
        self.per_epoch = (len(tokens) - 1) // length - 1
        self.epoch = -1

    def batch(self, first: int, count: int) -> torch.Tensor:
        """Windows first .. first + count - 1 of the run, int64 [count, length]."""
        return torch.stack([self._window(index) for index in range(first, first + count)])

    def _window(self, index: int) -> torch.Tensor:
        epoch, position = divmod(index, self.per_epoch)
        if epoch != self.epoch:
            generator = np.random.default_rng((self.seed, epoch))
            self.offset = int(generator.integers(self.length)) if self.shift else 0
            self.order = generator.permutation(self.per_epoch)
            self.epoch = epoch
        start = self.offset + int(self.order[position]) * self.length
        return torch.from_numpy(self.tokens[start : start + self.length].astype(np.int64))


def validation_windows(tokens: np.ndarray, length: int, count: int) -> torch.Tensor:
    """Evenly spaced windows of held-out text, int64 [count, length]."""
    starts = np.linspace(0, len(tokens) - length - 1, count).astype(int)
    return torch.stack([torch.from_numpy(tokens[s : s + length].astype(np.int64)) for s in starts])
