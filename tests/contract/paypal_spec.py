"""PayPal's own lists and schemas of the operations that the gateway uses."""

from __future__ import annotations

from typing import Any

from .specifications import all_of

# The operations that the gateway uses.
USED = {
    "checkout_orders_v2": (
        "POST /v2/checkout/orders",
        "GET /v2/checkout/orders/{id}",
        "POST /v2/checkout/orders/{id}/authorize",
        "POST /v2/checkout/orders/{id}/capture",
    ),
    "payments_payment_v2": (
        "POST /v2/payments/authorizations/{authorization_id}/capture",
        "POST /v2/payments/authorizations/{authorization_id}/void",
        "POST /v2/payments/captures/{capture_id}/refund",
        "GET /v2/payments/refunds/{refund_id}",
    ),
}


def issues() -> list[str]:
    """Return every issue with which PayPal may refuse one of the used operations."""
    issues: set[str] = set()
    for document in all_of("paypal", "issue-codes-by-operation.json"):
        for api, operations in USED.items():
            issues.update(issue for name in operations for codes in document[api][name].values() for issue in codes)
    return sorted(issues)


def response_codes() -> list[str]:
    """Return every response code of a processor."""
    documents = all_of("paypal", "paypal-server-sdk-2.4.0-enums.json")
    return sorted({code for each in documents for code in each["enums"]["processor_response_code"]})


def request_schemas() -> list[tuple[str, str, dict[str, Any]]]:
    """Return method, path pattern and body schema of every used request that has a body."""
    schemas = []
    for api, operations in USED.items():
        for spec in all_of("paypal", f"{api}.json"):
            for name in operations:
                method, path = name.split()
                body = spec["paths"][path][method.lower()].get("requestBody")
                if body:
                    schema = body["content"]["application/json"]["schema"]
                    schemas.append((method, path, {**schema, "components": spec["components"]}))
    return schemas


def response_schema(api: str, name: str) -> list[dict[str, Any]]:
    """Return the schema of an object; an empty list where the specification is not there."""
    specs = all_of("paypal", f"{api}.json")
    return [{"$ref": f"#/components/schemas/{name}", "components": spec["components"]} for spec in specs]
