"""Deterministic simulation: the real services in one thread, on simulated time, with every misfortune drawn from a seed."""
