"""Options that the tools which compare planners have in common."""

import argparse
from pathlib import Path

from sequoia_core.plan.acceptance import RULES


def planner_options(description: str, *, max_new_tokens: int) -> argparse.ArgumentParser:
    """A parser with the pair, the texts, and the trees to plan."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--target", help="folder or Hugging Face name; default: the bundled pair")
    parser.add_argument("--draft")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--prompts", type=Path, help="JSON lines with a 'text' each")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.0, 0.6, 1.0])
    parser.add_argument("--budgets", type=int, nargs="+", default=[16, 32, 64, 128, 256])
    parser.add_argument("--max-depth", type=int, default=32)
    parser.add_argument("--max-new-tokens", type=int, default=max_new_tokens)
    parser.add_argument("--rule", choices=RULES, default="sequoia")
    parser.add_argument("--seed", type=int, default=0)
    return parser
