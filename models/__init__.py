"""Storage: the tables, how payments and webhooks are accepted, and the one writer of each table."""
