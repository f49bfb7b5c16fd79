"""Expressions that could run for long, decided in a process that may be stopped."""
