"""Deterministic simulation: the real services in one thread, on simulated time, every misfortune drawn from a seed."""
