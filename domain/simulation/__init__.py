"""A seeded model of customers whose payments fail, played against the decisions that the product makes."""
