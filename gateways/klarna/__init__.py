"""Klarna for direct merchants: hosted payment pages, orders, and orders of a saved customer token."""
