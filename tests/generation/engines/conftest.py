import os
from pathlib import Path

import pytest

from generation.engines.local import LocalEngine, load
from tests.generation.engines.tiny import build_tiny_gpt2

# Before torch is loaded: its threads cost more than they give on models this small, most of all on a busy
# machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "demo_model: uses the demo's language model")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with `babbler` (random weights), `marker` (writes MARK) and `short` (a context of 64
    tokens).
    """
    root = tmp_path_factory.mktemp("models")
    build_tiny_gpt2(root / "babbler")
    build_tiny_gpt2(root / "marker", marker="MARK")
    build_tiny_gpt2(root / "short", positions=64)
    return root


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def babbler(models: Path, data_dir: Path) -> LocalEngine:
    return load("path:babbler", [models], data_dir=data_dir)


@pytest.fixture(scope="session")
def marker(models: Path, data_dir: Path) -> LocalEngine:
    return load("path:marker", [models], data_dir=data_dir)
