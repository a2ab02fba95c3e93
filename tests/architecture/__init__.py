"""The house rules, read from the source and from the schema."""
