"""Each invalid request gets a problem that says what to do, and writes no row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .api_system import ApiSystem, assert_problem, payment, unique

CARD = "4242 4242-4242 4242"
REQUIRED = ("invoice_id", "user_id", "amount", "currency", "payment_method", "payment_method_token")


@pytest.fixture(autouse=True)
def _no_row_is_written(api: ApiSystem) -> Any:
    before = api.row_counts()
    yield
    assert api.row_counts() == before
    assert api.messages == []


def refuse(api: ApiSystem, status: int, kind: str, **changes: Any) -> str:
    return assert_problem(api.process(**changes), status, kind)


@pytest.mark.parametrize("field", REQUIRED)
def test_a_missing_field_is_named(api: ApiSystem, field: str) -> None:
    assert f"{field}: required" in refuse(api, 422, "invalid_request", **{field: ...})


def test_every_wrong_field_is_named_at_once(api: ApiSystem) -> None:
    detail = refuse(api, 422, "invalid_request", user_id=..., capture="yes", surprise=1)
    assert all(name in detail for name in ("user_id", "capture", "surprise: unknown field"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("invoice_id", 17),
        ("invoice_id", ""),
        ("invoice_id", "i" * 201),
        ("invoice_id", None),
        ("invoice_id", "\ud800"),
        ("user_id", ["u"]),
        ("user_id", {"id": "u"}),
        ("currency", 978),
        ("payment_method", 1),
        ("payment_method_token", ""),
        ("payment_method_token", "pm card"),
        ("payment_method_token", "pm_ü"),
        ("payment_method_token", "p" * 256),
        ("customer_token", "cus 1"),
        ("capture", "true"),
        ("capture", 1),
        ("capture", None),
        ("off_session", "no"),
        ("subscription_id", ""),
        ("ip_address", "1" * 46),
        ("ip_address", 127),
        ("device_fingerprint", "d" * 201),
        ("email", "e" * 255),
        ("email", ["a@example.org"]),
        ("billing_address", "Main Street"),
        ("billing_address", {"line1": 1}),
        ("billing_address", {"line1": "x" * 301}),
        ("return_url", "javascript:alert(1)"),
        ("return_url", "https://shop.example/a b"),
        ("return_url", "https://" + "x" * 2000),
        ("metadata", "text"),
        ("metadata", {"a": {"nested": 1}}),
        ("metadata", {"a": ["list"]}),
        ("metadata", {"a": "x" * 501}),
        ("metadata", {str(number): "v" for number in range(51)}),
    ],
    ids=lambda value: str(value)[:24].encode("ascii", "replace").decode(),
)
def test_a_field_of_the_wrong_shape_is_refused(api: ApiSystem, field: str, value: Any) -> None:
    assert field in refuse(api, 422, "invalid_request", **{field: value})


@pytest.mark.parametrize("method", ["cheque", "", "CREDIT_CARD", "paypal"])
def test_a_method_without_a_provider_is_refused(api: ApiSystem, method: str) -> None:
    assert "credit_card" in refuse(api, 422, "unsupported_payment_method", payment_method=method)


def test_a_subscription_is_captured_at_once(api: ApiSystem) -> None:
    assert "capture" in refuse(api, 422, "invalid_request", subscription_id=unique("sub"), capture=False)


# --- amounts and currencies ---

AMOUNTS = [
    ('"0"', "invalid_amount"),
    ('"0.00"', "invalid_amount"),
    ("0", "invalid_amount"),
    ("-1", "invalid_amount"),
    ('"-1.00"', "invalid_amount"),
    ('"+1.00"', "invalid_amount"),
    ('"1.001"', "invalid_amount"),
    ("1.001", "invalid_amount"),
    ('"1e2"', "invalid_amount"),
    ("1e-3", "invalid_amount"),
    ("1e400", "invalid_amount"),
    ("1e999999999999", "invalid_amount"),
    ("1e-999999999999", "invalid_amount"),
    ('"1,000.00"', "invalid_amount"),
    ('"1.000,00"', "invalid_amount"),
    ('" 1.00"', "invalid_amount"),
    ('"1."', "invalid_amount"),
    ('".5"', "invalid_amount"),
    ('"١٢"', "invalid_amount"),
    ('"NaN"', "invalid_amount"),
    ('"Infinity"', "invalid_amount"),
    ('""', "invalid_amount"),
    ('"0x10"', "invalid_amount"),
    ('"1000000.00"', "invalid_amount"),
    ('"999999999999999"', "invalid_amount"),
    ("1" + "0" * 30, "invalid_amount"),
    ("true", "invalid_request"),
    ("null", "invalid_request"),
    ("[12]", "invalid_request"),
    ('{"value": "12"}', "invalid_request"),
]


@pytest.mark.parametrize(("amount", "kind"), AMOUNTS)
def test_an_invalid_amount_is_refused(api: ApiSystem, amount: str, kind: str) -> None:
    raw = json.dumps(payment(amount="AMOUNT")).replace('"AMOUNT"', amount)
    assert "amount" in assert_problem(api.post("/process", raw, Idempotency_Key=unique("key")), 422, kind)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_json_does_not_have_are_refused(api: ApiSystem, constant: str) -> None:
    raw = json.dumps(payment(amount="AMOUNT")).replace('"AMOUNT"', constant)
    assert_problem(api.post("/process", raw), 400, "invalid_json")


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("1.5", "JPY"), ("1.0001", "KWD"), ("0.001", "EUR"), ("5.50", "MGA"), ("1.001", "KWD")],
)
def test_an_amount_that_the_currency_or_provider_cannot_express_is_refused(
    api: ApiSystem, amount: str, currency: str
) -> None:
    refuse(api, 422, "invalid_amount", amount=amount, currency=currency)


@pytest.mark.parametrize(("amount", "currency"), [("1000000", "ISK"), ("1000000", "UGX"), ("100000000", "JPY")])
def test_an_amount_above_the_limit_of_the_provider_is_refused(api: ApiSystem, amount: str, currency: str) -> None:
    assert "is above" in refuse(api, 422, "invalid_amount", amount=amount, currency=currency)


@pytest.mark.parametrize("currency", ["EURO", "EU", "", "XAU", "XXX", "XTS", "978", "ZZZ", "€€€", "EUR "])
def test_an_unknown_currency_is_refused(api: ApiSystem, currency: str) -> None:
    refuse(api, 422, "unknown_currency", currency=currency)


@pytest.mark.parametrize(("method", "currency"), [("sepa_debit", "USD"), ("ach_debit", "EUR")])
def test_a_method_that_does_not_work_in_the_currency_is_refused(api: ApiSystem, method: str, currency: str) -> None:
    detail = refuse(api, 422, "unsupported_payment_method", payment_method=method, currency=currency)
    assert "works only in" in detail


def test_a_bank_debit_cannot_be_captured_later(api: ApiSystem) -> None:
    refuse(api, 422, "unsupported_payment_method", payment_method="sepa_debit", capture=False)


# --- card numbers, NUL bytes ---


def everywhere(text: str) -> list[dict[str, Any]]:
    return [
        {"metadata": {"note": text}},
        {"metadata": {text: "key"}},
        {"invoice_id": text},
        {"user_id": f"user {text}"},
        {"payment_method_token": text.replace(" ", "-")},
        {"billing_address": {"line1": text}},
        {"billing_address": {"unknown": {"deep": [text]}}},
        {"email": f"{text}@example.org"},
        {"unknown_field": text},
        {text: "unknown field"},
        {"amount": text},
    ]


@pytest.mark.parametrize("changes", everywhere(CARD), ids=str)
def test_a_card_number_is_refused_in_every_field(api: ApiSystem, changes: dict[str, Any]) -> None:
    response = api.process(**changes)
    assert_problem(response, 422, "card_number_refused")
    assert "4242" not in response.text


@pytest.mark.parametrize("number", ["4242424242424242", "4242424242424242.0", "378282246310005"])
def test_a_card_number_is_refused_as_a_json_number(api: ApiSystem, number: str) -> None:
    raw = json.dumps(payment(metadata={"n": "NUMBER"})).replace('"NUMBER"', number)
    assert_problem(api.post("/process", raw), 422, "card_number_refused")


def test_a_card_number_is_refused_as_idempotency_key(api: ApiSystem) -> None:
    response = api.process(Idempotency_Key=f'"{CARD}"')
    assert_problem(response, 422, "card_number_refused")
    assert "4242" not in response.text


def test_a_card_number_is_refused_as_the_id_of_an_invoice(api: ApiSystem) -> None:
    body = {"user_id": unique("user"), "amount": "10", "currency": "EUR"}
    response = api.call("PUT", f"/invoices/{CARD}", body)
    assert_problem(response, 422, "card_number_refused")
    assert "4242" not in response.text


@pytest.mark.parametrize("changes", everywhere("a\x00b"), ids=repr)
def test_a_nul_byte_is_refused_in_every_field(api: ApiSystem, changes: dict[str, Any]) -> None:
    assert "NUL" in refuse(api, 422, "invalid_request", **changes)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/pay_%00"),
        ("GET", "/invoices/inv%00"),
        ("GET", "/subscriptions/sub%00"),
        ("GET", "/?invoice_id=%00"),
        ("GET", "/?cursor=%00"),
        ("PUT", "/invoices/inv%00"),
        ("POST", "/pay_%00/capture"),
        ("POST", "/pay_%00/cancel"),
    ],
)
def test_a_nul_byte_is_refused_in_the_address(api: ApiSystem, method: str, path: str) -> None:
    body = {"user_id": "u", "amount": "1", "currency": "EUR"} if method == "PUT" else None
    assert_problem(api.call(method, path, body), 422, "invalid_request")


# --- bodies ---


@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b"\xff\xfe", b'{"a": 1} x', b'{"a": "\x00"}', b"{'a': 1}", b'{"a": 1,}', b"1" * 5000],
    ids=repr,
)
def test_a_body_that_is_not_json_is_refused(api: ApiSystem, body: bytes) -> None:
    assert_problem(api.post("/process", body), 400, "invalid_json")


@pytest.mark.parametrize("body", ["[]", '"text"', "17", "null", "true"])
def test_a_body_that_is_no_object_is_refused(api: ApiSystem, body: str) -> None:
    assert "JSON object" in assert_problem(api.post("/process", body), 422, "invalid_request")


def test_an_empty_body_is_refused(api: ApiSystem) -> None:
    detail = assert_problem(api.post("/process"), 422, "invalid_request")
    # Which token is needed depends on the method.
    assert all(f"{field}: required" in detail for field in REQUIRED if field != "payment_method_token")


@pytest.mark.parametrize("depth", [*range(800, 1001, 10), 2000, 5000, 10_000])
def test_a_deeply_nested_body_is_refused(api: ApiSystem, depth: int) -> None:
    """Some depths pass the JSON reader and would break what recurses after it."""
    raw = '{"metadata": ' + '{"a":' * depth + "1" + "}" * depth + "}"
    response = api.post("/process", raw)
    assert response.status_code in (400, 422), response.text
    assert response.json["type"] in ("invalid_json", "invalid_request")


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1024 * 1024 + 1])
@pytest.mark.parametrize("path", ["/process", "/stripe-intent", "/pay_x/refunds"])
def test_a_body_above_64_kib_is_refused(api: ApiSystem, size: int, path: str) -> None:
    assert_problem(api.post(path, b" " * size, Idempotency_Key="k"), 413, "body_too_large")


def test_a_body_of_64_kib_is_read(api: ApiSystem) -> None:
    raw = json.dumps(payment(amount="0")).encode()
    assert_problem(api.post("/process", raw.ljust(64 * 1024), Idempotency_Key=unique("key")), 422, "invalid_amount")


@pytest.mark.parametrize("key", ["", "k" * 256, "ключ", '"' + "k" * 256 + '"', "a\tb"])
def test_an_invalid_idempotency_key_is_refused(api: ApiSystem, key: str) -> None:
    assert "Idempotency-Key" in refuse(api, 422, "invalid_request", Idempotency_Key=key)


# --- callers and addresses ---

DOORS = [
    ("POST", "/process"),
    ("PUT", "/invoices/inv-x"),
    ("GET", "/invoices/inv-x"),
    ("GET", "/subscriptions/sub-x"),
    ("POST", "/stripe-intent"),
    ("GET", "/pay_x"),
    ("GET", "/"),
    ("POST", "/pay_x/capture"),
    ("POST", "/pay_x/cancel"),
    ("POST", "/pay_x/refunds"),
    ("POST", "/pay_x/review"),
]


@pytest.mark.parametrize(("method", "path"), DOORS)
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer  ", "Bearer ck_unknown", "Basic Y2s6", "Bearer \x7f", "ck_unknown"]
)
def test_a_missing_api_key_is_refused_before_anything_else(
    api: ApiSystem, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = api.call(method, path, b"not JSON", caller=None, **headers)
    assert_problem(response, 401, "unauthorized")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_a_revoked_key_is_no_key(api: ApiSystem, method: str, path: str) -> None:
    assert_problem(api.call(method, path, b"not JSON", caller="revoked"), 401, "unauthorized")


@pytest.mark.parametrize(
    ("caller", "method", "path"),
    [
        ("operator", "POST", "/process"),
        ("operator", "PUT", "/invoices/inv-x"),
        ("operator", "POST", "/stripe-intent"),
        ("shop", "POST", "/pay_x/review"),
    ],
)
def test_the_wrong_role_is_refused_before_the_body_is_read(api: ApiSystem, caller: str, method: str, path: str) -> None:
    assert "role" in assert_problem(api.call(method, path, b"not JSON", caller=caller), 403, "forbidden")


def test_an_unknown_invoice_is_not_found(api: ApiSystem) -> None:
    assert_problem(api.get("/invoices/none"), 404, "not_found")
    assert_problem(api.post("/stripe-intent", {"invoice_id": unique("none")}), 404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("GET", "/x/y/z"), ("POST", "/pay_x/unknown"), ("GET", "//nowhere")])
def test_an_unknown_address_is_not_found(api: ApiSystem, method: str, path: str) -> None:
    assert_problem(api.call(method, path), 404, "not_found")


def test_a_wrong_http_method_is_refused(api: ApiSystem) -> None:
    assert_problem(api.call("DELETE", "/process"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/pay_x/capture", {"amount": True}),
        ("/pay_x/capture", {"amount": "1", "surprise": 1}),
        ("/pay_x/cancel", {"amount": "1"}),
        ("/pay_x/refunds", {"reason": "because"}),
        ("/pay_x/refunds", {"amount": []}),
        ("/pay_x/review", {"decision": "maybe"}),
        ("/pay_x/review", {}),
        ("/stripe-intent", {}),
        ("/stripe-intent", {"invoice_id": "i", "amount": "1"}),
    ],
    ids=str,
)
def test_other_commands_refuse_what_they_do_not_know(api: ApiSystem, path: str, body: dict[str, Any]) -> None:
    assert_problem(api.post(path, body, caller="admin", Idempotency_Key=unique("k")), 422, "invalid_request")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"amount": "0"}, "invalid_amount"),
        ({"amount": "1.001"}, "invalid_amount"),
        ({"currency": "XAU"}, "unknown_currency"),
        ({"due_at": "tomorrow"}, "invalid_request"),
        ({"description": "x" * 501}, "invalid_request"),
        ({"surprise": 1}, "invalid_request"),
        ({"description": CARD}, "card_number_refused"),
    ],
    ids=str,
)
def test_an_impossible_invoice_is_refused(api: ApiSystem, changes: dict[str, Any], kind: str) -> None:
    body = {"user_id": "u", "amount": "1", "currency": "EUR"} | changes
    assert_problem(api.call("PUT", f"/invoices/{unique('inv')}", body), 422, kind)


def test_an_invoice_id_that_is_too_long_is_refused(api: ApiSystem) -> None:
    body = {"user_id": "u", "amount": "1", "currency": "EUR"}
    assert_problem(api.call("PUT", f"/invoices/{'i' * 201}", body), 422, "invalid_request")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=", "limit=１", "surprise=1", "cursor=zzz", "cursor="],
)
def test_an_impossible_page_is_refused(api: ApiSystem, query: str) -> None:
    assert_problem(api.get(f"/?{query}"), 422, "invalid_request")
