"""Definitions as callers write them: what each may say, what has to hold, and how it is kept."""
