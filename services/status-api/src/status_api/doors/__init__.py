"""Other products' APIs, as far as they read status; each a thin adapter."""
