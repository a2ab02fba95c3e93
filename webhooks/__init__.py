"""The HTTP edge: accepts and shows payments, and receives the providers' webhooks."""
