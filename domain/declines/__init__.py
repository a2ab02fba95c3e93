"""What decline codes mean: dated tables, the customer's wording, network advice, and limits of tries. Data and look-ups."""
