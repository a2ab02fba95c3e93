"""What decline codes mean: dated tables, the customer's wording, the networks' advice, and their limits of tries."""
