"""smtp: a campaign over real SMTP into Postfix's smtp-sink, with a row and a reason for every recipient.

From the request to the last row that is final, with one email worker. The mail has two variables, HTML and the text
made from it, a tracking pixel and one-click unsubscribe headers. The limit is a client of a few lines that pipelines
mail of the same size into the same sink over as many connections, and does nothing else.
"""

from __future__ import annotations

from bench.audience import make_audience
from bench.campaigns import make_template, run_campaign
from bench.figures import Figure, missing
from bench.raw_smtp import raw_rate
from bench.rig import Rig
from bench.sinks import CountingSink, postfix_sink, smtp_sink

TEMPLATE = "bench_mail"
CONNECTIONS = 8
HTML = (
    "<html><body><p>Hello {{ first_name }},</p><p>{{ what }}, until Sunday, in every shop and on every shelf.</p>"
    "<p>Yours, the people of the shop around the corner</p></body></html>"
)


async def add_relay(rig: Rig, port: int) -> None:
    """Let all email leave through the relay at `port`."""
    config = {
        "host": "127.0.0.1", "port": port, "tls": "none", "from_email": "news@sender.test", "from_name": "The shop",
        "connections": CONNECTIONS,
    }  # fmt: skip
    account = {"name": "relay", "channel": "email", "provider": "smtp", "config": config, "is_default": True}
    async with rig.api("ingest") as api:
        found = await api.get("/api/v1/providers?limit=200")
        for old in found["data"]:
            if old["channel"] == "email" and old["is_default"]:
                path = f"/api/v1/providers/{old['id']}"
                tag = (await api.call("GET", path)).headers["ETag"]
                await api.call("PATCH", path, json={"is_default": False}, headers={"If-Match": tag})
        await api.post("/api/v1/providers", account)


async def add_template(rig: Rig) -> None:
    """Make the template of the campaign."""
    async with rig.api("ingest") as api:
        await make_template(api, "email", TEMPLATE, subject="{{ what }}", html=HTML)


async def measure(rig: Rig) -> list[Figure]:
    """Return the figure, or that smtp-sink is missing."""
    program = smtp_sink()
    if program is None:
        return [missing("smtp", "mails/s", "smtp-sink is not here; it comes with Postfix")]
    mails = rig.sizes.mails
    await add_template(rig)
    size = await _size_of_a_mail(rig)
    with postfix_sink(rig, program) as port:
        await _use(rig, port)
        warm = min(2_000, mails)
        await run_campaign(rig, "email", await make_audience(rig, warm), TEMPLATE, warm, receipts=False)
        tag = await make_audience(rig, mails)
        body = b"x" * 70 + b"\r\n"
        body = (body * (size // len(body) + 1))[: size - 5] + b"\r\n.\r\n"
        limit = await raw_rate(port, body, mails, CONNECTIONS)
        with rig.meter() as meter:
            course = await run_campaign(rig, "email", tag, TEMPLATE, mails, receipts=False)
    return [
        Figure(
            "smtp", mails / course.final_seconds, "mails/s", limit, "raw pipelining client, same sink", None,
            meter.peak_rss_mb, {"mails": mails, "bytes": size, **meter.detail(mails)},
        )
    ]  # fmt: skip


async def _use(rig: Rig, port: int) -> None:
    """Point the relay that is there already to another port."""
    async with rig.api("ingest") as api:
        found = await api.get("/api/v1/providers?limit=200")
        relay = next(account for account in found["data"] if account["name"] == "relay")
        path = f"/api/v1/providers/{relay['id']}"
        tag = (await api.call("GET", path)).headers["ETag"]
        await api.call("PATCH", path, json={"config": {"port": port}}, headers={"If-Match": tag})


async def _size_of_a_mail(rig: Rig) -> int:
    """Send one mail to a sink that looks at it; return its bytes, with the final dot."""
    async with CountingSink() as sink:
        await add_relay(rig, sink.port)
        await run_campaign(rig, "email", await make_audience(rig, 1), TEMPLATE, 1, receipts=False)
        return sink.largest_body
