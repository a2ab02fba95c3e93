"""A word of a provider that is compared with a table is marked as one, so that the contract suite makes it doubt."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateways.registry import PROVIDERS
from tests.contract.planted_words import models_of, words_of

from .source import files, nodes

# Compared, and yet no words of a table whose default is doubt.
# An event of an unknown type is none of ours.
EVENT_TYPES = {
    *("_Envelope.type", "_Event.type", "FraudDecision.event_type", "Notification.webhook_event_type"),
    *("CheckoutEvent.event_type", "EventIdentity.event_type", "EventIdentity.type", "_TimedEvent.type"),
}
# Only shown, or the label of an event that is looked up.
SHOWN = {
    *("NextAction.type", "_FinancialAddress.type", "_TransferInstructions.type"),
    *("_Method.type", "_Wallet.type", "_Details.funding"),
    *("PageStatus.status", "EventIdentity.status", "Dispute.status"),
    *("Dispute.reason", "StatusDetails.reason"),
}
# They say more about a decline, a refund, a refusal or a dispute that is one without them.
EXPLAINING = {
    "Refund.reason",
    "_RefundOfEvent.reason",
    "PaymentError.code",
    "PaymentError.param",
    "NetworkReference.network",
    "MethodShown.type",
    "_MethodDetails.type",
}
# They only say whether a time is that of the money. Any other word: there is no time.
OF_TIMES = {"PaymentIntent.capture_method"}
NO_WORDS = EVENT_TYPES | SHOWN | EXPLAINING | OF_TIMES


@pytest.mark.parametrize("provider", sorted(PROVIDERS.keys() - {"manual"}))
def test_what_is_compared_with_words_is_marked_as_a_word(provider: str) -> None:
    compared = {name for file in files(f"gateways/{provider}") for name in compared_in(file)}
    unmarked = {
        f"{model.__name__}.{name}"
        for model in models_of(provider)
        for name in model.model_fields.keys() - words_of(model)
        if name in compared and name != "currency"
    }
    assert unmarked <= NO_WORDS


def compared_in(file: Path) -> Iterator[str]:
    """Yield the attributes that are compared with words: by ==, in, match, or as the key of a table."""
    for function in [each for each in nodes(file) if isinstance(each, ast.FunctionDef)]:
        names = aliases(function)
        for node in ast.walk(function):
            for expression in compared_by(node):
                attribute = attribute_of(expression, names)
                if attribute is not None:
                    yield attribute


def compared_by(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(left=left, comparators=others) if any(is_of_words(other) for other in others):
            yield left
        case ast.Match(subject=subject, cases=cases) if any(
            is_of_words(part) for case in cases for part in ast.walk(case)
        ):
            yield subject
        case ast.Subscript(value=table, slice=key) if is_of_words(table):
            yield key
        case ast.Call(func=ast.Attribute(attr="get", value=table), args=[key, *_]) if is_of_words(table):
            yield key


def is_of_words(node: ast.AST) -> bool:
    """Tell whether an expression is a word, several words, or a constant that has words."""
    match node:
        case ast.Constant(value=str(word)):
            return bool(word)
        case ast.Tuple(elts=parts) | ast.Set(elts=parts):
            return any(is_of_words(part) for part in parts)
        case ast.Starred(value=part):
            return is_of_words(part)
        case ast.Name(id=name):
            return name.isupper()
    return False


def attribute_of(node: ast.AST, names: dict[str, str]) -> str | None:
    """Return the attribute whose value an expression has, perhaps in the other case or with a default."""
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="upper" | "lower")):
            return attribute_of(value, names)
        case ast.BoolOp(op=ast.Or(), values=[value, *_]) | ast.IfExp(body=value):
            return attribute_of(value, names)
        case ast.BoolOp(op=ast.And(), values=[*_, value]):
            return attribute_of(value, names)
        case ast.Attribute(attr=name):
            return name
        case ast.Name(id=name):
            return names.get(name)
    return None


def aliases(function: ast.FunctionDef) -> dict[str, str]:
    """Return the attribute that each local name stands for."""
    found: dict[str, str] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            pairs = zip(target.elts, value.elts, strict=True) if several else [(target, value)]
            for name, given in pairs:
                attribute = attribute_of(given, {})
                if isinstance(name, ast.Name) and attribute is not None:
                    found[name.id] = attribute
    return found
