"""`python -m channel_whatsapp`: the WhatsApp worker."""

from __future__ import annotations

from channel_whatsapp.app import build
from channel_whatsapp.settings import WhatsAppSettings
from sluice_runtime.service import run_service

if __name__ == "__main__":
    run_service("channel-whatsapp", WhatsAppSettings, build)
