"""Operators' tools: looking into a running installation and mending what needs a person to decide."""
