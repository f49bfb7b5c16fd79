"""The door for callers who speak Novu: what became of what they sent, and cancelling it."""
