"""`sluice doctor`: what is behind, what is stuck, and why. Every check works while everything else is down."""
