"""Storage: tables, the two durable front doors, and the only writer of payment state."""
