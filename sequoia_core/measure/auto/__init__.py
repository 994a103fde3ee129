"""The method `auto`: a plan that is watched while it runs, and made again when it no longer fits."""

from sequoia_core.measure.auto.policy import Auto

__all__ = ["Auto"]
