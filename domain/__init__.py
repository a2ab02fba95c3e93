"""The rules of money, payments, declines, fraud and dunning. Pure: no I/O, no clock, no randomness."""
