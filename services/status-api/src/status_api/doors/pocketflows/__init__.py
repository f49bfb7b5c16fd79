"""Pocketflows: triggers, which answer with their own statistics and therefore live here, read and written."""
