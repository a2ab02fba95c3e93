"""The providers, each behind one file and one contract."""
