"""The method `auto`: a plan that is watched while it runs and made anew when it does not fit."""

from sequoia_core.measure.auto.policy import Auto

__all__ = ["Auto"]
