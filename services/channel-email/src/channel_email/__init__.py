"""The email worker: SMTP, MIME and tracking."""
