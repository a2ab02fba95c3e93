"""The adapter of Klarna."""
