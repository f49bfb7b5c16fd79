"""`python -m channel_email`: the email worker."""

from __future__ import annotations

from channel_email.app import build
from channel_email.settings import EmailSettings
from sluice_runtime.service import run_service

if __name__ == "__main__":
    run_service("channel-email", EmailSettings, build)
