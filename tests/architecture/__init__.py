"""The rules of this repository, read from the source and from the schema."""
