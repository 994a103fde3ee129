"""Train the bundled model pair from one text file.

    python tools/train_pair.py --train stories.txt --valid held_out.txt --work build/pair

Stages, each resumable (run the same command again): tokenizer; a 2-layer target; the same target
deepened to 8 layers; a 1-layer draft on the text; the draft distilled on the target's own
distributions. Then bfloat16 safetensors, tokenizer and report.json go to --out.
Stage lengths are minutes of training, so the result depends on the machine; the order of the
data and the initial weights depend on --seed alone.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from pair_data import Windows, encode_file, train_tokenizer, validation_windows
from pair_training import (
    CONTEXT,
    Stage,
    Teacher,
    Trainer,
    build,
    deepen,
    distillation_loss,
    first_child_acceptance,
    next_token_loss,
    validation_loss,
)
from transformers import AutoTokenizer

TARGET_SHAPE = {"hidden": 512, "intermediate": 1376, "heads": 8}
DRAFT_SHAPE = {"hidden": 192, "intermediate": 512, "layers": 1, "heads": 6}
SHALLOW, DEEP = 2, 8

# Distillation reads this many stretches of the text, of so many tokens each, again and again.
TAUGHT_PARTS, TAUGHT_PART = 40, 16_384


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def prepare(arguments) -> tuple:
    """Tokenizer and encoded text, made once and kept in the work folder."""
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "tokenizer" / "tokenizer.json").exists():
        say("training the tokenizer")
        train_tokenizer(arguments.train).save_pretrained(work / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(work / "tokenizer")
    texts = {}
    for name, source in (("train", arguments.train), ("valid", arguments.valid)):
        cache = work / f"{name}.npy"
        if not cache.exists():
            np.save(cache, encode_file(tokenizer, source))
        texts[name] = np.load(cache)
        say(f"{name}: {len(texts[name]):,} tokens")
    return tokenizer, texts["train"], texts["valid"]


class Job:
    """The stages in order, over one text, one seed and one work folder."""

    def __init__(self, arguments, tokens, held_out):
        self.arguments, self.tokens = arguments, tokens
        self.held_out = validation_windows(held_out, CONTEXT, 32)

    def train(self, model, stage: Stage, teacher=None):
        """One stage: next-token loss, or distillation where a teacher is given."""
        device = self.arguments.device
        model = model.to(device)
        called = torch.compile(model) if self.arguments.compile else model
        if teacher is None:
            loss = next_token_loss(called)
        else:
            teacher = teacher.to(device).eval()
            compiled = torch.compile(teacher) if self.arguments.compile else teacher
            loss = distillation_loss(called, Teacher(compiled))
        data = self.windows(stage, taught=teacher is not None)
        trainer = Trainer(model, stage, data, self.arguments.work, say)
        trainer.run(loss, lambda: validation_loss(model, self.held_out))
        return model

    def windows(self, stage: Stage, taught: bool) -> Windows:
        """The text; to be taught, a part of it small enough to keep the teacher's answers."""
        if not taught:
            return Windows(self.tokens, stage.length, self.arguments.seed)
        spread = np.linspace(0, len(self.tokens) - TAUGHT_PART, TAUGHT_PARTS).astype(int)
        part = np.concatenate([self.tokens[start : start + TAUGHT_PART] for start in spread])
        return Windows(part, stage.length, self.arguments.seed, shift=False)

    def target(self):
        minutes = self.arguments.target_minutes
        torch.manual_seed(self.arguments.seed)
        shallow = self.train(
            build(layers=SHALLOW, **TARGET_SHAPE),
            Stage("target-shallow", minutes * 0.3, CONTEXT // 2),
        )
        return self.train(
            deepen(shallow, DEEP),
            Stage("target-deep", minutes * 0.7, CONTEXT, matrix_rate=0.01, cool_down=0.6),
        )

    def draft(self, target):
        minutes = self.arguments.draft_minutes
        torch.manual_seed(self.arguments.seed + 1)
        draft = self.train(build(**DRAFT_SHAPE), Stage("draft-text", minutes * 0.25, CONTEXT // 2))
        stage = Stage("draft-distilled", minutes * 0.75, CONTEXT, cool_down=0.6)
        return self.train(draft, stage, teacher=target)


def report(target, draft, held_out) -> dict:
    """What the model card quotes: measured on held-out text, in nats and rates."""
    windows = validation_windows(held_out, CONTEXT, 128)
    return {
        "validation_loss": {
            "target": validation_loss(target, windows),
            "draft": validation_loss(draft, windows),
        },
        "first_child_acceptance": {
            str(t): first_child_acceptance(target, draft, windows[:64], t) for t in (0, 0.6, 1.0)
        },
        "parameters": {"target": target.num_parameters(), "draft": draft.num_parameters()},
    }


def save(model, tokenizer, folder: Path) -> None:
    """bfloat16 safetensors in shards under 40 MB, tokenizer beside them."""
    model.to("cpu", torch.bfloat16).save_pretrained(folder, max_shard_size="40MB")
    tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, help="training text, UTF-8")
    parser.add_argument("--valid", type=Path, required=True, help="held-out text, UTF-8")
    parser.add_argument("--work", type=Path, default=Path("build/pair"), help="checkpoints")
    parser.add_argument("--out", type=Path, default=Path("assets/models"))
    parser.add_argument("--target-minutes", type=float, default=90)
    parser.add_argument("--draft-minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help="needs a C++ compiler; faster")
    arguments = parser.parse_args()

    tokenizer, tokens, held_out = prepare(arguments)
    job = Job(arguments, tokens, held_out)
    target = job.target()
    draft = job.draft(target)
    measured = report(target.float(), draft.float(), held_out)
    save(target, tokenizer, arguments.out / "stories-27m")
    save(draft, tokenizer, arguments.out / "stories-1m")
    (arguments.out / "report.json").write_text(json.dumps(measured, indent=1) + "\n")
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
