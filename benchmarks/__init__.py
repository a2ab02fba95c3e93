"""Measurements: what a payment costs in Celeriac, beside a bare script that does only what cannot be avoided."""
