"""The HTTP edge, through Flask's test client, on SQLite and PostgreSQL."""
