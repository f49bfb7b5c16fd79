"""Projections, the read API and the actions on a trigger."""
