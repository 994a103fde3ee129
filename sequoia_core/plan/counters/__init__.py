"""Acceptance vectors from what serving engines count: one module an engine, and a registry."""
