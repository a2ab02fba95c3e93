"""Servers for the tests, and an empty place inside them for each test.

Found servers are used (see stack/servers.py), PostgreSQL and Redis otherwise come from wheels. Tests marked
`rabbitmq` and `browser` are deselected where there is no RabbitMQ or no Chromium, and the header says so; with CI=true
they fail instead.
"""

from __future__ import annotations

import fcntl
import gc
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
import redis
from hypothesis import settings
from kombu import Connection
from sqlalchemy import make_url

from models.migrate import upgrade
from models.session import make_engine
from stack.process import ROOT
from stack.servers import VARIABLES, Servers, discover, find_chromium, is_ci, postgres_from_wheel, redis_from_wheel
from tests.acceptance.harness import APPLICATION, Deployment
from tests.idle_databases import IdleDatabases
from tests.patience import PATIENCE

OpenDeployment = Callable[..., AbstractContextManager[Deployment]]
SERVERS = pytest.StashKey[Servers]()
QUEUES = ("charges", "webhooks", "dunning", "mail", "fraud", "upkeep")
RESERVED_REDIS_DATABASES = range(9, 16)
# How many examples a property gets in the whole run.
EXAMPLES = 100


# The parts of the whole run, of which several run at the same time (stack/test.py).
PARTS = ("acceptance", "integration", "rest")
# The markers of tests that compare Python's clock with that of a server, of a child process, or of OpenSSL.
OWN_CLOCKS = {"postgres", "redis", "rabbitmq", "acceptance", "openssl"}
pytest_plugins = ("tests.alarm", "tests.moved_clock")
# A deadline for each example would measure the machine. `fast` is the profile of `dev.py test --fast`.
settings.register_profile("whole", deadline=None, max_examples=EXAMPLES)
settings.register_profile("fast", deadline=None, max_examples=EXAMPLES // 5)
settings.load_profile("whole")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--part",
        choices=("all", *PARTS),
        default="all",
        help="run all tests, or one of the parts that the whole run consists of",
    )
    parser.addoption("--dunning-histories", type=int, default=6, help="customers in dunning in a whole system")
    parser.addoption("--dunning-seed", default="gate", help="decides who they are")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SERVERS] = discover()


def pytest_report_header(config: pytest.Config) -> str:
    found = config.stash[SERVERS].by_name().items()
    absent = "missing" if is_ci() else "left out"
    said = [f"{name} {'found' if url else absent if name == 'RabbitMQ' else 'from a wheel'}" for name, url in found]
    said.append(f"Chromium {'found' if find_chromium() else absent}")
    return f"servers: {', '.join(said)}; deadlines times {PATIENCE:g} (CELERIAC_TEST_PATIENCE)"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    markers = left_out(config.stash[SERVERS], is_moved=bool(config.getoption("--days-ahead")))
    deselected = {item for item in items if any(item.get_closest_marker(name) for name in markers)}
    if (wish := config.getoption("--part")) != "all":
        deselected |= {item for item in items if part_of(item) != wish}
    config.hook.pytest_deselected(items=list(deselected))
    items[:] = [item for item in items if item not in deselected]


def part_of(item: pytest.Item) -> str:
    """Return the part of the whole run to which a test belongs."""
    if item.get_closest_marker("acceptance"):
        return "acceptance"
    return "integration" if item.path.is_relative_to(ROOT / "tests/integration") else "rest"


def left_out(servers: Servers, *, is_moved: bool) -> set[str]:
    """Return the markers of the tests that this run leaves out."""
    has_no_rabbitmq = not servers.amqp and not is_ci()
    has_no_browser = not find_chromium() and not is_ci()
    absent = ({"rabbitmq"} if has_no_rabbitmq else set()) | ({"browser"} if has_no_browser else set())
    return (OWN_CLOCKS if is_moved else set()) | absent


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Servers:
    """The servers that were there before the tests."""
    return pytestconfig.stash[SERVERS]


@pytest.fixture(scope="session")
def postgres_server(servers: Servers) -> Iterator[str]:
    """The URL of a PostgreSQL server's own database; create databases in it, never tables."""
    if servers.postgres:
        yield servers.postgres
    else:
        with postgres_from_wheel() as url:
            yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated, empty database to make others from."""
    with new_database(postgres_server) as url:
        migrate(url)
        yield make_url(url).database or ""


@pytest.fixture
def fresh_postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database that was never used; for tests that look below its tables."""
    with new_database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture(scope="session")
def idle_databases(postgres_server: str, postgres_template: str) -> Iterator[IdleDatabases]:
    """Databases between two tests. Making one takes longer than most tests."""
    with ExitStack() as made:
        yield IdleDatabases(lambda: made.enter_context(new_database(postgres_server, template=postgres_template)))


@pytest.fixture
def postgres_url(idle_databases: IdleDatabases) -> Iterator[str]:
    """The URL of a migrated, empty PostgreSQL database that nobody else uses."""
    url = idle_databases.take()
    yield url
    idle_databases.give_back(url)


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without any table."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a migrated, empty SQLite database."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{file}")
    return file.read_bytes()


@pytest.fixture
def sqlite_url(sqlite_template: bytes, tmp_path: Path) -> str:
    """The URL of a migrated, empty SQLite database that nobody else uses."""
    file = tmp_path / "celeriac.db"
    file.write_bytes(sqlite_template)
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def redis_server(servers: Servers) -> Iterator[str]:
    """The URL of a Redis or Valkey server; use `redis_url` unless the test needs the server itself."""
    if servers.redis:
        yield servers.redis
    else:
        with redis_from_wheel() as url:
            yield url


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """The URL of an empty Redis database, claimed for this test among those reserved for tests."""
    with claimed_database(redis_server) as url:
        yield url


@pytest.fixture
def queue_prefix() -> str:
    """A value of CELERY_QUEUE_PREFIX that no other test uses, as all tests share one RabbitMQ."""
    return f"test-{secrets.token_hex(4)}-"


@pytest.fixture
def amqp_url(servers: Servers, queue_prefix: str) -> Iterator[str]:
    """The URL of a RabbitMQ; only for tests marked `rabbitmq`, which name their queues by `queue_prefix`."""
    if not servers.amqp:
        variable = VARIABLES["RabbitMQ"]
        pytest.fail(f"no RabbitMQ is found: start one on its standard port, or set {variable}", pytrace=False)
    yield servers.amqp
    delete_queues(servers.amqp, queue_prefix)


@pytest.fixture(scope="session")
def merchant_template(postgres_server: str) -> Iterator[tuple[str, str]]:
    """The name of a database that an operator has made ready for one application, and its API key."""
    with new_database(postgres_server) as url:
        payments_command(url, "db", "upgrade")
        key = payments_command(url, "keys", "create", "--role", "app", "--name", APPLICATION).split()[-1]
        yield make_url(url).database or "", key


@pytest.fixture(scope="session")
def shared_redis_url(redis_server: str) -> Iterator[str]:
    """The URL of a Redis database that tests share; each has queues of its own in it."""
    with claimed_database(redis_server) as url:
        yield url


@pytest.fixture(scope="session")
def open_deployment(
    postgres_server: str,
    merchant_template: tuple[str, str],
    shared_redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> OpenDeployment:
    """Open a deployment: its own database and sandbox, on the broker that is named or the shared one."""
    template, key = merchant_template

    @contextmanager
    def opened(broker_url: str = shared_redis_url, prefix: str = "", **env: str) -> Iterator[Deployment]:
        prefix = prefix or f"test-{secrets.token_hex(4)}-"
        directory = tmp_path_factory.mktemp("deployment")
        with (
            new_database(postgres_server, template=template) as database_url,
            Deployment(directory, database_url, broker_url, key, prefix, **env) as deployment,
        ):
            yield deployment

    return opened


@pytest.fixture(scope="session")
def running_deployment(open_deployment: OpenDeployment) -> Iterator[Deployment]:
    """A deployment with everything running, for the tests that neither kill nor flush; use `deployment`."""
    with open_deployment() as deployment:
        deployment.start_sandbox().worker()
        deployment.beat()
        deployment.web()
        yield deployment


@pytest.fixture
def deployment(running_deployment: Deployment) -> Iterator[Deployment]:
    """The running deployment, with a provider that behaves before and after."""
    running_deployment.provider.behave()
    yield running_deployment
    running_deployment.provider.behave()


@pytest.fixture
def collection_between_tests() -> Iterator[None]:
    """Garbage is collected before and after the test, not within it.

    A parser that is fed a body of 100,000 brackets uses up the stack. A collection there runs the finalizers of
    whatever other tests have left, each of which fails for want of stack, and with it the test at hand.
    """
    gc.disable()
    yield
    gc.enable()


@contextmanager
def new_database(server: str, template: str = "template1") -> Iterator[str]:
    """Create a PostgreSQL database, yield its URL, drop it whoever is still connected."""
    name = f"celeriac_test_{secrets.token_hex(6)}"
    administer(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def administer(server: str, statement: str) -> None:
    """Run a statement on a server by a connection that ends with it: a stock PostgreSQL has a hundred for all."""
    address = make_url(server).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute(statement.encode())


def migrate(database_url: str) -> None:
    """Bring a database to the newest migration. In this process: a command of its own would cost seconds."""
    engine = make_engine(database_url)
    upgrade(engine)
    engine.dispose()


def payments_command(database_url: str, *arguments: str) -> str:
    """Run `celery -A worker payments …` on a database, with nothing else there; return what it printed."""
    settings = {
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": "redis://127.0.0.1:9/0",
        "STRIPE_SECRET_KEY": "sk_test_unused",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_unused",
        "STRIPE_WEBHOOK_SECRET": "whsec_unused",
        "STRIPE_API_BASE": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "celery", "-A", "worker", "payments", *arguments]
    result = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True)
    if result.returncode:
        pytest.fail(f"`payments {' '.join(arguments)}` failed:\n{result.stdout}{result.stderr}", pytrace=False)
    return result.stdout


@contextmanager
def claimed_database(server: str) -> Iterator[str]:
    """Empty one of the reserved Redis databases, keep other test runs of this machine off it, yield its URL."""
    for number in RESERVED_REDIS_DATABASES:
        with (Path(tempfile.gettempdir()) / f"celeriac-redis-{number}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            # The number goes into the URL: one that stands there wins over redis-py's `db` argument.
            url = make_url(server).set(database=str(number)).render_as_string(hide_password=False)
            with redis.Redis.from_url(url) as client:
                client.flushdb()
                yield url
                client.flushdb()
            return
    pytest.fail(f"all reserved databases of {server} are in use by other test runs")


def delete_queues(server: str, prefix: str) -> None:
    """Remove the durable queues that a test's processes declared."""
    with Connection(server) as connection, connection.channel() as channel:
        for queue in QUEUES:
            channel.queue_delete(f"{prefix}{queue}")
