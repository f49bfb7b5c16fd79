"""The SMS worker's settings."""

from __future__ import annotations

from sluice_channel.settings import ChannelSettings


class SmsSettings(ChannelSettings):
    """What the SMS worker can be told: nothing beside what every channel worker is told."""
