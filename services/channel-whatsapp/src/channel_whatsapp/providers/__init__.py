"""The real providers of WhatsApp, one module each."""
