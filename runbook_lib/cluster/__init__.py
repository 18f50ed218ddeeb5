"""The cluster: binding to a context, apply and diff, waits, diagnosis, permissions."""
