"""Mail that comes back, as Postfix writes bounces (RFC 3464) and mailbox providers write complaints (RFC 5965)."""

from __future__ import annotations

from email.message import Message
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.parser import BytesParser
from email.policy import SMTP, compat32

from relay import Mail


def bounce(mail: Mail, status: str, *, action: str = "failed", diagnostic: str) -> bytes:
    """Return what Postfix sends to the return path of `mail` when a server behind it gave up on it, or waits."""
    about_message, about_recipient = Message(), Message()
    about_message["Reporting-MTA"] = "dns; mx.relay.test"
    about_message["X-Postfix-Queue-ID"] = "4XYZ"
    about_message["X-Postfix-Sender"] = f"rfc822; {mail.return_path}"
    about_message["Arrival-Date"] = "Mon, 24 Nov 2025 02:25:28 +0000 (UTC)"
    about_recipient["Final-Recipient"] = f"rfc822; {mail.recipient}"
    about_recipient["Original-Recipient"] = f"rfc822;{mail.recipient}"
    about_recipient["Action"] = action
    about_recipient["Status"] = status
    about_recipient["Remote-MTA"] = "dns; mx.far.test"
    about_recipient["Diagnostic-Code"] = f"smtp; {diagnostic}"
    status_part = MIMEBase("message", "delivery-status")
    status_part["Content-Description"] = "Delivery report"
    status_part.set_payload([about_message, about_recipient])
    text = (
        f"This is the mail system at host mx.relay.test.\n\n<{mail.recipient}>: host mx.far.test said: {diagnostic}\n"
    )
    report = _report("delivery-status", mail, text, status_part)
    report["Subject"] = "Undelivered Mail Returned to Sender"
    report["Auto-Submitted"] = "auto-replied"
    return report.as_bytes(policy=SMTP)


def complaint(mail: Mail) -> bytes:
    """Return what a mailbox provider sends when somebody calls `mail` spam; who that was is blacked out."""
    feedback = Message()
    feedback["Feedback-Type"] = "abuse"
    feedback["User-Agent"] = "SomeProvider/1.0"
    feedback["Version"] = "1"
    feedback["Original-Rcpt-To"] = "redacted@far.test"
    part = MIMEBase("message", "feedback-report")
    part.set_payload([feedback])
    report = _report("feedback-report", mail, "This is an email abuse report.\n", part)
    report["Subject"] = "FW: abuse"
    return report.as_bytes(policy=SMTP)


def _report(kind: str, mail: Mail, text: str, part: Message) -> MIMEMultipart:
    report = MIMEMultipart("report")
    report.set_param("report-type", kind)
    report["From"] = "MAILER-DAEMON@mx.relay.test (Mail Delivery System)"
    report["To"] = mail.return_path
    report["Date"] = "Mon, 24 Nov 2025 02:25:30 +0000 (UTC)"
    report["Message-Id"] = "<20251124022530.4XYZ@mx.relay.test>"
    report.attach(MIMEText(text, "plain", "us-ascii"))
    report.attach(part)
    original = BytesParser(policy=compat32).parsebytes(mail.raw)
    report.attach(MIMEMessage(original))
    return report
