"""The WhatsApp worker: Meta Cloud API templates, texts and receipts."""
