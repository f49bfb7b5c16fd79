"""Stored templates: the variant is chosen by country and locale, and a version stays what it was."""

from __future__ import annotations

from uuid import uuid4

import pytest

from sluice_catalog.models import TemplateVariant, TemplateVersion
from sluice_channel.provider import SmsMessage
from sluice_contracts.messages.content import TemplateContent
from sluice_contracts.vocabulary import Category, Channel, FilterCode, JobState

pytestmark = pytest.mark.integration


def stored(bench, worker, *variants: TemplateVariant, **changes) -> TemplateContent:
    """Put a template into the catalog."""
    fields = {
        "template_id": uuid4(),
        "workspace_id": bench.workspace,
        "version": 3,
        "key": "welcome",
        "name": "Welcome",
        "channel": Channel.SMS,
        "category": Category.MARKETING,
        "variants": variants,
    }
    template = TemplateVersion(**{**fields, **changes})

    async def template_version(template_id, version):
        return template if (template_id, version) == (template.template_id, template.version) else None

    worker.catalog.template_version = template_version
    return TemplateContent(template_id=template.template_id, version=3, key="welcome")


def variant(country, locale, text, approval="approved") -> TemplateVariant:
    return TemplateVariant(country, locale, approval, {"text": text})


async def test_everybody_gets_the_variant_that_fits_best(bench) -> None:
    worker = await bench.worker()
    content = stored(
        bench,
        worker,
        variant("US", None, "Howdy"),
        variant("FR", "fr", "Salut {{first_name}}"),
        variant(None, "de", "Hallo", "draft"),
        variant("GB", None, "Hello"),
    )
    command = bench.command(
        5,
        content=content,
        columns={
            "country": ["US", "FR", "IN", "DE", "GB"],
            "locale": ["en-US", "fr-FR", "en-IN", "de-DE", "en-GB"],
            "fields": {"first_name": ["Ann", "Zoé", "Raj", "Uwe", "Pip"]},
        },
    )
    us, fr, india, germany, gb = await bench.carry_out(command, worker)
    texts = [message.content.text for message in bench.provider.handed_over if isinstance(message.content, SmsMessage)]
    assert texts == ["Howdy", "Salut Zoé", "Hello"]
    assert (us.state, fr.state, gb.state) == (JobState.SENT,) * 3
    assert (india.code, india.detail) == (
        FilterCode.NO_TEMPLATE_FOR_COUNTRY,
        "No approved SMS template for country: IN",
    )
    assert germany.code == FilterCode.TEMPLATE_NOT_APPROVED


@pytest.mark.parametrize("changes", [{"workspace_id": uuid4()}, {"channel": Channel.EMAIL}, {"version": 4}])
async def test_another_workspaces_or_channels_template_is_missing(bench, changes) -> None:
    worker = await bench.worker()
    content = stored(bench, worker, variant(None, None, "Hi"), **changes)
    (report,) = await bench.carry_out(bench.command(1, content=content), worker)
    assert report.code == FilterCode.TEMPLATE_MISSING
