"""Every metric that Sluice has, in one place: what it means and what to do when it looks wrong.

Names follow Prometheus (seconds, bytes, `_total`); label values come from closed sets, so series stay few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest


@dataclass(frozen=True, slots=True)
class Described:
    """A metric as people read of it: `documentation` is what it means, `advice` what to do when it looks wrong."""

    name: str
    kind: type[Counter | Gauge | Histogram]
    documentation: str
    advice: str
    labels: tuple[str, ...]


_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)

_catalogue: Final[list[Described]] = []


def _counter(name: str, meaning: str, advice: str, labels: Sequence[str] = ()) -> Counter:
    _catalogue.append(Described(name, Counter, meaning, advice, tuple(labels)))
    return Counter(name, meaning, labels)


def _gauge(name: str, meaning: str, advice: str, labels: Sequence[str] = ()) -> Gauge:
    _catalogue.append(Described(name, Gauge, meaning, advice, tuple(labels)))
    return Gauge(name, meaning, labels)


def _histogram(
    name: str, meaning: str, advice: str, labels: Sequence[str] = (), buckets: Sequence[float] = _FAST
) -> Histogram:
    _catalogue.append(Described(name, Histogram, meaning, advice, tuple(labels)))
    return Histogram(name, meaning, labels, buckets=buckets)


# HTTP and the process

HTTP_SECONDS = _histogram(
    "sluice_http_seconds",
    "Time from a request's headers to the end of its answer.",
    "Alert on a share of 5xx over 1 % and on a p99 over 0.5 s; look at the route first, then at loop lag.",
    ("route", "method", "status"),
)
LOOP_LAG_SECONDS = _gauge(
    "sluice_loop_lag_seconds",
    "How late the event loop wakes: the time that something else kept it busy.",
    "Over 0.1 s for minutes: the process has too little CPU, or something blocks. Add copies.",
)
CATALOG_AGE_SECONDS = _gauge(
    "sluice_catalog_age_seconds",
    "How old the definitions are that this process works with.",
    "Over 60: Postgres cannot be reached from here; sends go on with what was last seen.",
)

# Topics

PUBLISHED_RECORDS = _counter(
    "sluice_published_records_total",
    "Records acknowledged by the broker.",
    "The input of every rate; nothing to do.",
    ("topic",),
)
PUBLISH_SECONDS = _histogram(
    "sluice_publish_seconds",
    "Time of a batch from its first record's being published to its acknowledgement by all replicas.",
    "A p99 over 0.5 s: look at the brokers' disks and at under-replicated partitions.",
)
PUBLISH_FAILURES = _counter(
    "sluice_publish_failures_total",
    "Calls to publish that the broker did not acknowledge in time.",
    "Any: callers get 503 meanwhile. Look at the brokers.",
)
HANDLED_RECORDS = _counter(
    "sluice_handled_records_total",
    "Records handled to the end.",
    "Zero while there is lag: the consumer is stuck; read its log for the error that it waits out.",
    ("group", "topic"),
)
HANDLE_SECONDS = _histogram(
    "sluice_handle_seconds",
    "Time that a handler took for one batch, or one record where they are handled singly.",
    "Rising with steady input: look at the database.",
    ("group",),
)
RETRIED_HANDLING = _counter(
    "sluice_retried_handling_total",
    "Times that a handler met a passing fault and will be called again with the same records.",
    "A steady rate: the database or the broker is away or overloaded.",
    ("group",),
)
CONSUMER_LAG = _gauge(
    "sluice_consumer_lag_records",
    "Records of a partition that its group has not committed yet.",
    "Rising for ten minutes: add copies (up to the number of partitions) or find out why handling is slow.",
    ("group", "topic", "partition"),
)
IN_FLIGHT_RECORDS = _gauge(
    "sluice_in_flight_records",
    "Records taken and not yet handled to the end.",
    "At its limit for minutes: handling is the bottleneck, not the broker.",
    ("group",),
)
REBALANCES = _counter(
    "sluice_rebalances_total",
    "Times that partitions were dealt out anew.",
    "More than a few an hour without deployments: copies die or stall.",
    ("group",),
)
DEAD_LETTERS = _counter(
    "sluice_dead_letters_total",
    "Records that could never be handled and were put aside.",
    "Any: read the reason in the record's headers, mend, and replay.",
    ("topic",),
)

# Work

ACCEPTED_TRIGGERS = _counter(
    "sluice_accepted_triggers_total",
    "Requests accepted, by lane.",
    "The input of the system; compare with what comes out.",
    ("lane",),
)
HANDLED_EVENTS = _counter(
    "sluice_handled_events_total",
    "Events evaluated: `triggered` started a workflow, `awaited` ended somebody's wait, `refused` were answered by "
    "rules of which none did, `unmatched` by nobody at all.",
    "Many unmatched: a caller sends events that nobody uses, or writes their name otherwise than the rules do. Many "
    "refused: `GET /api/v1/events?outcome=refused` says why.",
    ("outcome",),
)
QUEUE_SECONDS = _histogram(
    "sluice_queue_seconds",
    "Time from accepting a request to handing its messages to a provider, without time they had to wait on purpose.",
    "A p99 over 5 s in the priority lane: codes come too late. Look at consumer lag, then at the provider.",
    ("lane",),
    _SLOW,
)
OPEN_TIMERS_LATE_SECONDS = _gauge(
    "sluice_oldest_due_timer_seconds",
    "How long the timer that is due first has been due.",
    "Over 30: the orchestrator cannot keep up or is down.",
)
OLDEST_OPEN_SECONDS = _gauge(
    "sluice_oldest_open_seconds",
    "Age of the oldest chunk of work that is commanded and not yet answered.",
    "Over 600: a channel worker is down, or a provider account is stopped.",
)
REPEATED_COMMANDS = _counter(
    "sluice_repeated_commands_total",
    "Commands sent again because nobody had answered them by their deadline.",
    "Any steady rate: workers lose commands or are far behind.",
    ("channel",),
)
SENDS = _counter(
    "sluice_sends_total",
    "Hand-overs to a provider, by what came of them.",
    "A rising share of anything but `accepted`: look at the provider's own status page and at the account.",
    ("provider", "outcome"),
)
SEND_SECONDS = _histogram(
    "sluice_send_seconds",
    "Time that one call to a provider took.",
    "A p99 near the call's timeout: the provider is slow, and messages become uncertain.",
    ("provider",),
    _SLOW,
)
FINISHED_JOBS = _counter(
    "sluice_finished_jobs_total",
    "Jobs that ended, by channel and state.",
    "Compare `failed` with `sent`.",
    ("channel", "state"),
)
FILTERED_JOBS = _counter(
    "sluice_filtered_jobs_total",
    "Jobs that were deliberately not sent, by channel and by the gate that they failed.",
    "A sudden rise of one code: look at what changed in the template, the audience or the provider account.",
    ("channel", "code"),
)
WAVE_SECONDS = _histogram(
    "sluice_wave_seconds",
    "Time from claiming a wave of up to fifty messages to knowing what came of each.",
    "A p99 near the lease (30 s unless told): the provider is slow, and waves may be taken for cut off.",
    ("channel",),
    _SLOW,
)
UNCERTAIN_JOBS = _counter(
    "sluice_uncertain_jobs_total",
    "Jobs whose hand-over was cut off, so that nobody knows whether the provider has them.",
    "More than after a crash: connections to the provider break.",
    ("channel",),
)
CIRCUIT_OPEN = _gauge(
    "sluice_circuit_open",
    "1 while a provider refuses the account and its messages wait.",
    "1: mend credentials or billing at the provider; the messages go out by themselves afterwards.",
    ("provider", "account"),
)
PARKED_RECEIPTS = _gauge(
    "sluice_parked_receipts",
    "Receipts that wait for the message that they speak of.",
    "Rising: receipts come for messages that were never recorded, perhaps from another installation.",
    ("channel",),
)
ABANDONED_RECEIPTS = _counter(
    "sluice_abandoned_receipts_total",
    "Receipts that were given up because the message that they speak of never turned up.",
    "Any steady rate: the provider account is used by another system too, or the ledger was lost.",
    ("channel",),
)
RECEIPTS = _counter(
    "sluice_receipts_total",
    "Provider callbacks taken in, by whether their signature was good.",
    "Rejected ones: the account's signing secret is wrong, or somebody forges callbacks.",
    ("provider", "verdict"),
)
PROJECTED_REPORTS = _counter(
    "sluice_projected_reports_total",
    "Reports about jobs folded into the rows that dashboards read.",
    "Zero while there is lag: status is stale.",
)
LIVE_FEEDS = _gauge(
    "sluice_live_feeds",
    "Dashboards that listen to a live feed.",
    "A limit of the process's file descriptors; add copies of status-api.",
)


def catalogue() -> tuple[Described, ...]:
    """Return every metric of this module, in the order in which they are written."""
    return tuple(_catalogue)


async def serve(request: web.Request) -> web.Response:
    """Answer `GET /metrics` in Prometheus' text format."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
