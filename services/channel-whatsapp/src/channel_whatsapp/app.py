"""Where the WhatsApp worker is wired together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from channel_whatsapp.channel import WhatsAppChannel
from channel_whatsapp.providers.meta import MetaProvider
from channel_whatsapp.settings import WhatsAppSettings
from sluice_catalog.models import ProviderAccount
from sluice_channel.provider import Provider
from sluice_channel.worker import build_worker
from sluice_runtime.clock import Clock
from sluice_runtime.service import Service


async def build(settings: WhatsAppSettings, resources: AsyncExitStack, clock: Clock) -> Service:
    """Return the WhatsApp worker with the providers that it knows."""

    def meta(account: ProviderAccount) -> Provider:
        return MetaProvider(account, allow_private=settings.allow_private_providers)

    return await build_worker(settings, resources, clock, WhatsAppChannel(), {"meta": meta})
