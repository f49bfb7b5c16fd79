"""`python -m channel_sms`: the SMS worker."""

from __future__ import annotations

from channel_sms.app import build
from channel_sms.settings import SmsSettings
from sluice_runtime.service import run_service

if __name__ == "__main__":
    run_service("channel-sms", SmsSettings, build)
