"""Recipients, workflow steps, template groups, timers and channel commands."""
