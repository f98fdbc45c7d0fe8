"""Open WebUI's own request code, out of the package as it comes from its registry: its modules run unmodified, its database, settings and the
hundred packages that its server brings have stand-ins. What it sends and how it reads the answers is its own.

OPENWEBUI is where install.sh put the package's sources.
"""
import contextlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
import types
from unittest.mock import AsyncMock, MagicMock

import starlette.background
import starlette.exceptions
import starlette.requests
import starlette.responses

FOLDER = os.environ["OPENWEBUI"]
# those that run as they are; every other module of theirs is a stand-in
REAL = {"open_webui." + n for n in ("constants", "routers.openai", "retrieval.utils", "utils.anthropic", "utils.chat_variables", "utils.headers",
                                     "utils.json_codec", "utils.misc", "utils.model_ids", "utils.payload", "utils.session_pool", "utils.task")}
PACKAGES = ("open_webui", "open_webui.routers", "open_webui.retrieval", "open_webui.utils")
SETTINGS = {"AIOHTTP_CLIENT_SESSION_SSL": True, "AIOHTTP_CLIENT_TIMEOUT": 60, "AIOHTTP_CLIENT_TIMEOUT_MODEL_LIST": 10, "AIOHTTP_POOL_CONNECTIONS": 100,
            "AIOHTTP_POOL_CONNECTIONS_PER_HOST": 30, "AIOHTTP_POOL_DNS_TTL": 300, "AIOHTTP_CLIENT_STREAM_IDLE_TIMEOUT": None, "MODELS_CACHE_TTL": 1,
            "BYPASS_MODEL_ACCESS_CONTROL": False, "ENABLE_ORJSON": False, "CHAT_STREAM_RESPONSE_CHUNK_MAX_BUFFER_SIZE": None, "REDIS_KEY_PREFIX": "x",
            "ENABLE_FORWARD_USER_INFO_HEADERS": True, "FORWARD_USER_INFO_HEADER_JWT_SECRET": "", "FORWARD_SESSION_INFO_HEADER_CHAT_ID": "X-OpenWebUI-Chat-Id",
            "FORWARD_USER_INFO_HEADER_USER_EMAIL": "X-OpenWebUI-User-Email", "FORWARD_USER_INFO_HEADER_USER_ID": "X-OpenWebUI-User-Id",
            "FORWARD_USER_INFO_HEADER_USER_NAME": "X-OpenWebUI-User-Name", "FORWARD_USER_INFO_HEADER_USER_ROLE": "X-OpenWebUI-User-Role",
            "FORWARD_USER_INFO_HEADER_AUTH_TYPE": "X-OpenWebUI-Auth-Type", "RAG_EMBEDDING_PREFIX_FIELD_NAME": None}


class Router:
    """FastAPI's decorators leave a function as it is."""

    def __getattr__(self, method):
        return lambda *a, **kw: lambda f: f


FASTAPI = {"APIRouter": Router, "Depends": lambda *a, **kw: None, "HTTPException": starlette.exceptions.HTTPException, "Request": starlette.requests.Request}


class StandIn(types.ModuleType):
    """A module that has whatever is asked for."""

    def __init__(self, name):
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if self.__name__.startswith("fastapi"):
            value = FASTAPI[name] if name in FASTAPI else getattr(starlette.responses, name, MagicMock())
        elif self.__name__ == "aiocache":
            value = lambda *a, **kw: lambda f: f  # noqa: E731 - a decorator that caches nothing
        elif self.__name__ == "engineio":
            value = json
        elif name in SETTINGS:
            value = SETTINGS[name]
        else:
            value = AsyncMock() if name.startswith(("check_", "publish_")) else MagicMock(name=name)
        setattr(self, name, value)
        return value


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Before the others for modules of theirs that are not REAL, behind them for packages that are not installed."""

    def find_spec(self, name, path=None, target=None):
        return None if name in REAL or name in PACKAGES else importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        pass


class Ours(Finder):
    def find_spec(self, name, path=None, target=None):
        return super().find_spec(name, path, target) if name.startswith("open_webui.") else None


@contextlib.contextmanager
def stand_ins():
    for name in PACKAGES:
        package = types.ModuleType(name)
        package.__path__ = [os.path.join(FOLDER, *name.split("."))]
        sys.modules[name] = package
    first, last = Ours(), Finder()
    sys.meta_path.insert(0, first)
    sys.meta_path.append(last)
    try:
        yield
    finally:
        sys.meta_path.remove(first)
        sys.meta_path.remove(last)


with stand_ins():
    from open_webui.retrieval import utils as retrieval  # noqa: E402
    from open_webui.routers import openai  # noqa: E402
    from open_webui.utils import misc, payload, session_pool, task  # noqa: E402,F401


def connect(url, key, **config):
    """One connection, as an administrator sets it up: its address, its key, its own options."""
    values = {"openai.enable": True, "openai.api_base_urls": [url], "openai.api_keys": [key], "openai.api_configs": {"0": config}}
    openai.Config.get = AsyncMock(side_effect=values.get)
    openai.Config.get_many = AsyncMock(side_effect=lambda *names: {n: values[n] for n in names})
    openai.Models.get_model_by_id = AsyncMock(return_value=None)


def request():
    r = MagicMock()
    r.app.state.OPENAI_MODELS = {}
    r.state = types.SimpleNamespace()
    r.cookies = {}
    return r


USER = types.SimpleNamespace(id="6f1c", name="Ada Lovelace", email="ada@example.org", role="user", settings=None)
