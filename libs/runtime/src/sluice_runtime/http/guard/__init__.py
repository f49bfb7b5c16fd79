"""What every call of the API passes: rates and idempotency keys, the same in each service and at each door."""
