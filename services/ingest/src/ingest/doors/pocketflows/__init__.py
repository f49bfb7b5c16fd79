"""Pocketflows: events of a business, tracked."""
