"""The WhatsApp worker's settings."""

from __future__ import annotations

from sluice_channel.settings import ChannelSettings


class WhatsAppSettings(ChannelSettings):
    """What the WhatsApp worker can be told: nothing beside what every channel worker is told."""
