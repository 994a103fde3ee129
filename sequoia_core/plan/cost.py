"""What a step costs: d draft passes, one target pass, and the overhead between them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sequoia_core.plan.hardware import HardwareProfile
from sequoia_core.tree.token_tree import TokenTree


@dataclass(frozen=True, slots=True)
class CostModel:
    """Seconds of a step: the draft passes' by width, the target's by size, and the overhead.

    Leaves are not drafted from, so a tree of depth d takes d draft passes, and a pass is as wide
    as its level has nodes with children. A batch multiplies every token count.
    """

    hardware: HardwareProfile
    batch_size: int = 1

    @property
    def plain_seconds(self) -> float:
        """Seconds of one step of plain decoding."""
        return self.hardware.target(self.batch_size) + self.hardware.plain_overhead_seconds

    def seconds(self, sizes: np.ndarray, pass_widths: np.ndarray) -> np.ndarray:
        """Seconds [...] of steps with `sizes` [...] nodes and `pass_widths` [..., passes].

        A width of 0 is no pass. A size of 1 is plain decoding, with plain decoding's overhead.
        """
        draft = _draft_lookup(self.hardware, self.batch_size, int(pass_widths.max(initial=0)))
        passes = draft[pass_widths].sum(axis=-1)
        target = self.hardware.target(np.asarray(sizes) * self.batch_size)
        speculative = passes + target + self.hardware.overhead_seconds
        return np.where(np.asarray(sizes) == 1, self.plain_seconds, speculative)

    def tree_seconds(self, tree: TokenTree) -> float:
        """Seconds of one step with this tree."""
        return float(self.seconds(np.array(tree.size), np.array(tree.expanded_level_sizes, int)))

    def speedup(self, expected: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """Tokens per second over plain decoding's: G * plain seconds / step seconds."""
        return expected * self.plain_seconds / seconds


@lru_cache(maxsize=32)
def _draft_lookup(hardware: HardwareProfile, batch_size: int, widest: int) -> np.ndarray:
    """Seconds of draft passes 0 .. widest nodes wide; 0 nodes take none."""
    seconds = np.asarray(hardware.draft(np.arange(widest + 1) * batch_size))
    seconds[0] = 0.0
    seconds.setflags(write=False)
    return seconds
