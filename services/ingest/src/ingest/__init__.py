"""Every HTTP door inwards and the core that accepts."""
