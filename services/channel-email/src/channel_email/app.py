"""Where the email worker is wired together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from channel_email.channel import EmailChannel
from channel_email.providers.smtp.provider import SmtpProvider
from channel_email.settings import EmailSettings
from sluice_channel.tracking import Links
from sluice_channel.worker import build_worker
from sluice_runtime.clock import Clock
from sluice_runtime.secrets import TRACKING_LINKS, derive_key
from sluice_runtime.service import Service


async def build(settings: EmailSettings, resources: AsyncExitStack, clock: Clock) -> Service:
    """Return the email worker with the providers that it knows."""
    links = Links(settings.public_url, derive_key(settings.secret_bytes, TRACKING_LINKS))
    return await build_worker(settings, resources, clock, EmailChannel(links), {"smtp": SmtpProvider})
