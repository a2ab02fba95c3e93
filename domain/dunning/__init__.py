"""Dunning: when a failed payment is retried, when its grace period ends, and what its subscription is meanwhile."""
