"""The real providers of email, one package or module each."""
