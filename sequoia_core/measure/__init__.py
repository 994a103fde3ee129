"""Measuring a machine and a pair: hardware profiles, acceptance vectors, benchmarks."""
