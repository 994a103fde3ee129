"""Passes over streamed layers beside their bound: the time that the copies alone take.

    python tools/gpu_offload.py --like llama-2-7b --out build/gpu-check/offload.json

Every pass copies the layers from main memory, so it cannot take less than their bytes over the
bandwidth measured here; the bar is 15 % above that. Nothing is timed without a GPU, where copies
and computing share the same cores. Status 1 where a pass misses the bar.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from sequoia_core.decode.loading import resolve_device
from sequoia_core.decode.memory import peak_memory, readable
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.pair import PairSpec, load_pair
from sequoia_core.errors import SequoiaError
from sequoia_core.files import write_json
from sequoia_core.measure.profiler import device_name, undisturbed
from sequoia_core.tree.token_tree import TokenTree

BAR = 1.15
SIZES = (1, 16, 64, 256)
CONTEXT = 128
REPEATS = 9


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def seconds_of(work, device: torch.device) -> float:
    """Seconds until the device has done all of it, copies ahead included."""
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def tree_pass(target: TreeModel, tokens: int):
    """A function that runs one pass over a tree of these tokens, and forgets them."""
    tree = TokenTree([-1, *(node // 2 for node in range(tokens - 1))])
    ids = torch.arange(tokens, device=target.device) % target.vocab
    positions = torch.from_numpy(tree.depths).long().to(target.device) + target.length
    visible = torch.from_numpy(tree.visible).to(target.device)

    def work() -> None:
        target.forward(ids, positions, visible)
        target.commit([])

    return work


def measure(
    target: TreeModel,
    *,
    sizes: Sequence[int] = SIZES,
    context: int = CONTEXT,
    repeats: int = REPEATS,
) -> dict[str, Any]:
    """Seconds of the copies alone and of passes, interleaved; one more round before warms up."""
    target.reset(context + max(sizes))
    target.append([1 + i % 7 for i in range(context)])
    works = {tokens: tree_pass(target, tokens) for tokens in sizes}
    copies, passes = [], {tokens: [] for tokens in sizes}
    for round_ in range(repeats + 1):
        copying = seconds_of(target.offload.copy_streamed, target.device)
        # The copies end with the last layers in the buffers, a pass with the first one's.
        works[sizes[0]]()
        spent = {tokens: seconds_of(work, target.device) for tokens, work in works.items()}
        if round_:
            copies.append(copying)
            for tokens, seconds in spent.items():
                passes[tokens].append(seconds)
    return _summary(target, undisturbed(copies), passes)


def _summary(target: TreeModel, copying: float, passes: dict[int, list[float]]) -> dict[str, Any]:
    streamed = target.offload.streamed_bytes
    rows = []
    for tokens, times in passes.items():
        seconds = undisturbed(times)
        rows.append({"tokens": tokens, "seconds": seconds, "over_bound": seconds / copying})
    return {
        "target": target.name,
        "dtype": str(target.dtype).removeprefix("torch."),
        "machine": device_name(target.device),
        "streamed_bytes": streamed,
        "bound_seconds": copying,
        "bytes_per_second": streamed / copying,
        "passes": rows,
        "bar": BAR,
        "within_bar": all(row["over_bound"] <= BAR for row in rows),
        "peak_memory_bytes": peak_memory(target.device),
    }


def describe(result: dict[str, Any]) -> str:
    """The bound, then a line for each size."""
    bound = (
        f"{result['target']} (offloaded), {result['dtype']}, {result['machine']}: "
        f"{readable(result['streamed_bytes'])} a pass at "
        f"{result['bytes_per_second'] / 1e9:.1f} GB/s take {result['bound_seconds'] * 1e3:.1f} ms"
    )
    rows = [
        f"{row['tokens']} tokens: {row['seconds'] * 1e3:.1f} ms, "
        f"{row['over_bound']:.3f} of the bound"
        for row in result["passes"]
    ]
    verdict = "within" if result["within_bar"] else "not within"
    return "\n".join([bound, *rows, f"{verdict} {result['bar']:g} of the bound"])


def check(device: str, like: str, out: Path) -> int:
    """Measure a stand-in of this shape on a GPU and write the result; 0 where it is within the bar.

    Without a GPU nothing is done. Status 2, and one line, where the shape does not fit.
    """
    if resolve_device(device).type != "cuda":
        say("no GPU: offload is not timed")
        return 0
    spec = PairSpec(device=device, target_cost=like, draft_cost="bundled", offload=True)
    try:
        pair = load_pair(spec, lambda fraction, text: say(f"{fraction:4.0%}  {text}"))
    except SequoiaError as error:
        say(f"error: {error}")
        return 2
    result = measure(pair.target)
    write_json(out, result)
    print(describe(result), flush=True)
    return int(not result["within_bar"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--like", default="llama-2-7b", help="shape of the target's stand-in")
    parser.add_argument("--out", type=Path, default=Path("build/gpu-check/offload.json"))
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    return check(arguments.device, arguments.like, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
