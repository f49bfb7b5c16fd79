"""The sandbox: a provider that sends nothing, keeps what it got, and plays receipts back like a real one."""
