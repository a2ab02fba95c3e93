"""Every rule that a rule set may give points to, by its name."""

from domain.fraud.rules import amount, customer, identity, labels, results, velocity
from domain.fraud.rules.rule import Direction, Rule

RULES: dict[str, Rule] = {
    rule.name: rule for family in (amount, velocity, customer, identity, labels, results) for rule in family.RULES
}

__all__ = ["RULES", "Direction", "Rule"]
