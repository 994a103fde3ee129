"""What the engine asks of CUDA, one thing at a time, each with a verdict of its own.

    python tools/gpu_probe.py --out build/gpu-check/probe.json

The first thing to run on a new GPU or with a new torch: where something breaks, the line says what,
and the traceback is printed to stderr. Figures are of the bundled pair. Status 1 where a probe
fails. Runs on a CPU too, where probes of CUDA alone are left out.
"""

import argparse
import platform
import sys
import time
import traceback
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import transformers
from torch.nn.attention import SDPBackend, sdpa_kernel

from sequoia_core.assets import asset
from sequoia_core.decode.capture import GraphCapture, default_capture, eager
from sequoia_core.decode.engine import Engine, GenerationSettings
from sequoia_core.decode.loading import load_model, resolve_device, resolve_dtype
from sequoia_core.decode.memory import HOST, available_bytes, peak_memory, readable
from sequoia_core.decode.methods import NAMES
from sequoia_core.decode.model import TreeModel
from sequoia_core.decode.offload import Offload
from sequoia_core.decode.pair import BUNDLED_TARGET, PairSpec, load_pair
from sequoia_core.decode.timing import DeviceEvent, now
from sequoia_core.decode.transfer import to_device, to_host
from sequoia_core.files import write_json
from sequoia_core.measure.passes import step_seconds
from sequoia_core.measure.profiler import device_name
from sequoia_core.measure.proof import GREEDY_TREE, method_with

TIMES = 200
HEADS, HEAD_DIM = 32, 128
PROMPT = [1, 2, 3, 4, 5]


def versions(device: torch.device) -> str:
    parts = [
        f"torch {torch.__version__}",
        f"transformers {transformers.__version__}",
        f"Python {platform.python_version()}",
        f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}",
        device_name(device),
        f"{readable(available_bytes(device))} free",
    ]
    return ", ".join(parts)


def transfer(device: torch.device) -> str:
    """Index tensors from pinned memory, and numbers back."""
    sent = to_device(range(1000), device)
    tokens, halves = to_host(sent, sent / 2)
    assert tokens.tolist() == list(range(1000))
    assert halves.tolist() == [number / 2 for number in range(1000)]
    return "numbers come back as they were sent"


def host_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one work on the host, of many in a row."""
    work()
    now(device)
    started = time.perf_counter()
    for _ in range(TIMES):
        work()
    return (time.perf_counter() - started) / TIMES


def launches(device: torch.device) -> str:
    """What the host pays for a small operation, and for a small answer."""
    small = torch.zeros(8, device=device)
    add = host_seconds(lambda: small.add_(1), device)
    answer = host_seconds(lambda: small.add_(1).tolist(), device)
    return f"an operation {add * 1e6:.1f} µs, an operation and its answer {answer * 1e6:.1f} µs"


def events(device: torch.device) -> str:
    before, after = DeviceEvent(device), DeviceEvent(device)
    square = torch.ones(2048, 2048, device=device)
    before.record()
    square @ square
    after.record()
    after.synchronize()
    milliseconds = before.elapsed_time(after)
    assert milliseconds > 0
    return f"a product of squares of 2,048 takes {milliseconds:.3f} ms"


def graph(device: torch.device) -> str:
    source, out = torch.ones(8, device=device), torch.zeros(8, device=device)
    replay = GraphCapture(device)(lambda: out.copy_(source * 2))
    source.fill_(3.0)
    replay()
    assert out.tolist() == [6.0] * 8
    seconds = host_seconds(replay, device)
    return f"a graph repeats what it has captured, with new inputs; a replay {seconds * 1e6:.1f} µs"


def refusal(device: torch.device) -> str:
    """A pass that synchronises, and one that fails while it is captured, leave the device whole."""
    source, calls = torch.ones(8, device=device), []
    current = torch.cuda.current_stream(device)

    def fails_in_capture() -> None:
        """After the two times that warm up."""
        calls.append(source * 2)
        if len(calls) == 3:
            source.sum().item()

    said = []
    for run in (lambda: source.sum().item(), fails_in_capture):
        try:
            GraphCapture(device)(run)
        except RuntimeError as error:
            said.append(str(error).splitlines()[0])
    assert len(said) == 2, f"only {said} refused"
    assert len(calls) == 3, "the second one never came to be captured"
    assert torch.cuda.current_stream(device) == current
    assert torch.rand(8, device=device).sum().item() > 0
    return f"refused: {said[0]}; {said[1]}"


def attention(device: torch.device) -> str:
    """Microseconds of attention with a mask by kernel; then of one whose length was never met."""
    figures = []
    for queries in (1, 16, 64):
        for backend in (
            SDPBackend.EFFICIENT_ATTENTION,
            SDPBackend.CUDNN_ATTENTION,
            SDPBackend.MATH,
        ):
            seconds = _attention_seconds(backend, queries, 512, device)
            words = "not possible" if seconds is None else f"{seconds * 1e6:.0f} µs"
            figures.append(f"{queries} queries {backend.name.split('_')[0].lower()} {words}")
    for backend in (SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION):
        seconds = _attention_seconds(backend, 7, 333, device, times=1)
        words = "not possible" if seconds is None else f"{seconds * 1e3:.2f} ms"
        figures.append(f"a new length {backend.name.split('_')[0].lower()} {words}")
    return "; ".join(figures)


def _attention_seconds(
    backend: SDPBackend, queries: int, keys: int, device: torch.device, times: int = TIMES
) -> float | None:
    query, key = (
        torch.randn(1, HEADS, count, HEAD_DIM, device=device, dtype=torch.bfloat16)
        for count in (queries, keys)
    )
    mask = torch.zeros(1, 1, queries, keys, device=device, dtype=torch.bfloat16)

    def work() -> None:
        torch.nn.functional.scaled_dot_product_attention(query, key, key, attn_mask=mask)

    try:
        with sdpa_kernel(backend):
            if times > 1:
                work()
            now(device)
            started = time.perf_counter()
            for _ in range(times):
                work()
            now(device)
            return (time.perf_counter() - started) / times
    except RuntimeError:
        return None


def passes(device: torch.device, dtype: str) -> str:
    """Static passes of the bundled pair: captured, right, and how long each takes."""
    pair = load_pair(PairSpec(device=str(device), dtype=dtype))
    for model in (pair.target, pair.draft):
        model.use_static_passes(default_capture(device) or eager)
        model.reset(300)
        model.append([1 + i % 7 for i in range(128)])
    sizes = [(model, n) for model in (pair.draft, pair.target) for n in (1, 16, 64)]
    for _ in range(3):
        step_seconds(pair, sizes)
    for model in (pair.target, pair.draft):
        assert not model.static.refused, model.static.refused
    rounds = [step_seconds(pair, sizes) for _ in range(9)]
    seconds = [min(times) for times in zip(*rounds, strict=True)]
    words = [
        f"{'target' if model is pair.target else 'draft'} {n}: {spent * 1e3:.3f}"
        for (model, n), spent in zip(sizes, seconds, strict=True)
    ]
    return f"{pair.captures} captured, milliseconds {', '.join(words)}"


def methods(device: torch.device, dtype: str, temperature: float) -> str:
    """A short text by every method, verified on the device."""
    pair = load_pair(PairSpec(device=str(device), dtype=dtype))
    words = []
    for name in NAMES:
        settings = GenerationSettings(temperature=temperature, top_p=0.9, max_new_tokens=32)
        run = Engine(pair).run(PROMPT, settings, method_with(name, GREEDY_TREE), trace=False)
        steps = list(run)
        milliseconds = sum(step.seconds.total for step in steps) / len(steps) * 1e3
        words.append(f"{name} {len(run.token_ids)} in {len(steps)} steps of {milliseconds:.2f} ms")
    return ", ".join(words)


def streaming(device: torch.device) -> str:
    """The bundled target's layers in main memory: the same logits, bit for bit."""
    folder = str(asset("models") / BUNDLED_TARGET)
    model = load_model(folder, BUNDLED_TARGET, HOST, torch.float32)
    streamed = deepcopy(model)
    ours = TreeModel(streamed, "streamed", Offload(streamed, device))
    plain = TreeModel(model.to(device), "plain")
    ids = torch.tensor([PROMPT], device=device)
    for _ in range(3):
        assert torch.equal(ours.plain_logits(ids), plain.plain_logits(ids))
    return f"the same bits; {readable(ours.host_bytes)} streamed a pass"


def memory(device: torch.device) -> str:
    return ", ".join(f"{readable(size)} of {where}" for where, size in peak_memory(device).items())


# Name, and whether it asks for CUDA.
PROBES: dict[str, tuple[Callable[[torch.device], str], bool]] = {
    "versions": (versions, False),
    "transfer": (transfer, False),
    "launches": (launches, False),
    "events": (events, True),
    "graph": (graph, True),
    "static passes in float32": (lambda device: passes(device, "float32"), False),
    "static passes in the GPU's dtype": (lambda device: passes(device, "auto"), True),
    "methods, temperature 0": (lambda device: methods(device, "auto", 0.0), False),
    "methods, temperature 0.6": (lambda device: methods(device, "auto", 0.6), False),
    "streaming": (streaming, False),
    "attention": (attention, True),
    "refusal": (refusal, True),
    "peak memory": (memory, False),
}


def run(device: torch.device, names: list[str] | None = None) -> dict[str, dict]:
    """Every probe's verdict and words, whatever became of those before."""
    found = {}
    for name, (probe, needs_cuda) in PROBES.items():
        if (names is not None and name not in names) or (needs_cuda and device.type != "cuda"):
            continue
        started = time.perf_counter()
        try:
            passed, words = True, probe(device)
        except Exception as error:
            # One probe's failure is no reason to leave out the others.
            traceback.print_exc()
            passed, words = False, _reason(error)
        seconds = time.perf_counter() - started
        found[name] = {"passed": passed, "words": words, "seconds": seconds}
        print(f"- {name}: {'' if passed else 'FAILED, '}{words} ({seconds:.1f} s)", flush=True)
    return found


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ["no reason given"]
    return f"{type(error).__name__}: {lines[0]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    found = run(device)
    write_json(
        arguments.out,
        {"device": str(device), "dtype": str(resolve_dtype("auto", device)), "probes": found},
    )
    return 0 if all(probe["passed"] for probe in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
