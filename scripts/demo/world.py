"""The shop: twelve services, what they call, and how they behave when nothing is wrong."""

from __future__ import annotations

from dataclasses import dataclass

DATABASE = "database"
HTTP = "http"


@dataclass(frozen=True, slots=True)
class Call:
    """One call an operation makes. `tolerated` is the chance that its failure does not fail the caller."""

    target: str
    operation: str
    tolerated: float = 0.0


@dataclass(frozen=True, slots=True)
class Operation:
    """What a service does for one request: its own work in milliseconds (mean) and the calls it makes in turn."""

    name: str
    self_ms: float
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something without telemetry of its own: a database, a cache, a third party."""

    name: str
    kind: str
    system: str
    operation: str
    mean_ms: float
    address: str


DEPENDENCIES: dict[str, Dependency] = {
    d.name: d
    for d in (
        Dependency("catalog-db", DATABASE, "postgresql", "SELECT products", 4.0, "catalog-db.internal"),
        Dependency("orders-db", DATABASE, "postgresql", "INSERT orders", 6.0, "orders-db.internal"),
        Dependency("inventory-db", DATABASE, "mysql", "SELECT stock", 5.0, "inventory-db.internal"),
        Dependency("accounts-db", DATABASE, "postgresql", "SELECT accounts", 4.0, "accounts-db.internal"),
        Dependency("cart-cache", DATABASE, "redis", "HGETALL", 1.0, "cart-cache.internal"),
        Dependency("payment-gateway", HTTP, "", "POST /v1/charges", 45.0, "payment-gateway"),
        Dependency("mail-gateway", HTTP, "", "POST /send", 25.0, "mail-gateway"),
    )
}

SERVICES: dict[str, dict[str, Operation]] = {
    "frontend": {
        "GET /": Operation(
            "GET /",
            6,
            (
                Call("catalog", "GET /products"),
                Call("recommendation", "GET /recommendations", tolerated=0.6),
                Call("accounts", "GET /accounts/{id}", tolerated=0.3),
            ),
        ),
        "GET /search": Operation("GET /search", 4, (Call("search", "GET /query"),)),
        "POST /cart": Operation("POST /cart", 4, (Call("cart", "POST /items"),)),
        "POST /checkout": Operation("POST /checkout", 7, (Call("checkout", "POST /orders"),)),
        "GET /account": Operation("GET /account", 4, (Call("accounts", "GET /accounts/{id}"),)),
    },
    "catalog": {"GET /products": Operation("GET /products", 7, (Call("catalog-db", ""),))},
    "search": {"GET /query": Operation("GET /query", 18, (Call("catalog", "GET /products"),))},
    "recommendation": {
        "GET /recommendations": Operation("GET /recommendations", 15, (Call("catalog", "GET /products"),))
    },
    "accounts": {"GET /accounts/{id}": Operation("GET /accounts/{id}", 5, (Call("accounts-db", ""),))},
    "cart": {
        "POST /items": Operation("POST /items", 4, (Call("cart-cache", ""), Call("inventory", "GET /stock/{sku}"))),
        "GET /cart": Operation("GET /cart", 3, (Call("cart-cache", ""),)),
    },
    "inventory": {"GET /stock/{sku}": Operation("GET /stock/{sku}", 6, (Call("inventory-db", ""),))},
    "checkout": {
        "POST /orders": Operation(
            "POST /orders",
            12,
            (
                Call("cart", "GET /cart"),
                Call("inventory", "GET /stock/{sku}"),
                Call("shipping", "POST /shipments"),
                Call("payment", "POST /payments"),
                Call("orders-db", ""),
                Call("notification", "POST /messages", tolerated=0.7),
            ),
        )
    },
    "payment": {"POST /payments": Operation("POST /payments", 9, (Call("payment-gateway", ""),))},
    "shipping": {"POST /shipments": Operation("POST /shipments", 6, (Call("quote", "POST /quotes"),))},
    "quote": {"POST /quotes": Operation("POST /quotes", 11)},
    "notification": {"POST /messages": Operation("POST /messages", 5, (Call("mail-gateway", ""),))},
}

ENTRY = "frontend"
# Share of requests that start with each operation of the entry service.
TRAFFIC: dict[str, float] = {
    "GET /": 0.30,
    "GET /search": 0.20,
    "POST /cart": 0.18,
    "POST /checkout": 0.20,
    "GET /account": 0.12,
}
