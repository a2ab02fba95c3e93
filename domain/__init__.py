"""Pure rules of money, payments, declines, fraud and dunning: no I/O, no clock, no randomness."""
