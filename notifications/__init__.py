"""Notifications: what is sent to people outside, and by which way. Knows no table; `tasks` brings both together."""
