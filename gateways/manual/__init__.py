"""The adapter of payments by invoice, which an operator records by hand."""
