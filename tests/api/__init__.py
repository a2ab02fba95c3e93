"""The HTTP API, through Flask's test client, on SQLite and PostgreSQL."""
