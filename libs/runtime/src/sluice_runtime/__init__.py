"""How any service runs: settings, clock, logging, tracing, metrics, lifecycle, HTTP, probes."""
