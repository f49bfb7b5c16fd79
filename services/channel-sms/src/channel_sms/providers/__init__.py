"""The real providers of SMS, one module each."""
