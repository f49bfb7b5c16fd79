"""The door for callers who speak Novu: what they write and send."""
