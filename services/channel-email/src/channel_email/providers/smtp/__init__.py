"""SMTP submission (RFC 5321, RFC 6409) to a relay of the user's own."""
