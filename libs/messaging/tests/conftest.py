"""What all tests of this library share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Log failures in plain text: drawing tracebacks with their locals takes longer than the tests do."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.dev.ConsoleRenderer(colors=False)],
        cache_logger_on_first_use=False,
    )
    yield
    structlog.reset_defaults()
