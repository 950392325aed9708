"""Typed reading of environment variables: a wrong value stops the start and is named."""

import os
from collections.abc import Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


def env_text(name: str, default: str = "", *, env: Mapping[str, str] = os.environ) -> str:
    """The variable's value, or the text of the file that `<NAME>_FILE` names (how Docker hands over secrets)."""
    if name in env:
        return env[name]
    path = env.get(f"{name}_FILE")
    if not path:
        return default
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as fault:
        raise ImproperlyConfigured(
            f"{name}_FILE names {path!r}, which cannot be read: {fault.strerror}."
        ) from fault


def env_bool(name: str, default: bool, *, env: Mapping[str, str] = os.environ) -> bool:
    value = env.get(name)
    if value is None:
        return default
    if value.lower() in TRUE:
        return True
    if value.lower() in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; use 1 or 0.")


def env_int(name: str, default: int, *, env: Mapping[str, str] = os.environ) -> int:
    value = env.get(name)
    if value is None:
        return default
    try:
        return int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; use a whole number.") from None


def env_list(
    name: str, default: tuple[str, ...] = (), *, separator: str = ",", env: Mapping[str, str] = os.environ
) -> list[str]:
    value = env.get(name)
    if value is None:
        return list(default)
    return [part.strip() for part in value.split(separator) if part.strip()]
