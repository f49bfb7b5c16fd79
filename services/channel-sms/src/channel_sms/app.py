"""Where the SMS worker is wired together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from channel_sms.channel import SmsChannel
from channel_sms.providers.twilio import TwilioProvider
from channel_sms.settings import SmsSettings
from sluice_catalog.models import ProviderAccount
from sluice_channel.provider import Provider
from sluice_channel.worker import build_worker
from sluice_runtime.clock import Clock
from sluice_runtime.service import Service


async def build(settings: SmsSettings, resources: AsyncExitStack, clock: Clock) -> Service:
    """Return the SMS worker with the providers that it knows."""

    def twilio(account: ProviderAccount) -> Provider:
        # Twilio signs the address that it calls, and ingest checks it against the public one.
        return TwilioProvider(account, callback_url=settings.public_url, allow_private=settings.allow_private_providers)

    return await build_worker(settings, resources, clock, SmsChannel(), {"twilio": twilio})
