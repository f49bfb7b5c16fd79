"""The whole of Sluice on one machine with one command."""
