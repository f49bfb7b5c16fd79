"""The email worker's settings."""

from __future__ import annotations

from sluice_channel.settings import ChannelSettings


class EmailSettings(ChannelSettings):
    """What the email worker can be told: nothing beside what every channel worker is told."""
