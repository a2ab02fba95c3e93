"""The HTTP edge: accepts payments, reads them, and receives the providers' webhooks."""
