"""What fraud scoring remembers: signals, counts, histories and assessments."""
