"""Run the forward pass on another machine: any model server that speaks the KServe v2 protocol, over HTTP.

FRACTURE_SERVER=http://host:port turns it on; `fracture_core.inference.model_export` writes what the server loads. If
the server cannot be reached or lacks this network, inference runs on this computer, the result says so, and the server
is tried again later.

The image that is sent is the one the network sees (letterboxed, grey, without name or header). Over http:// it
travels in the clear; use https:// outside a network you trust.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from fracture_core.inference.engine import Engine, EngineError, TensorFlowEngine
from fracture_core.inference.model_export import INPUT

_log = logging.getLogger(__name__)
SETTING = "FRACTURE_SERVER"
#: Seconds to connect, and to wait for an answer.
_CONNECT, _ANSWER = 2.0, 10.0
#: Images in one request: JSON, which every server reads, takes some 20 bytes a number.
_BATCH = 8


class _AwayError(Exception):
    """The server gave no usable answer; the message says why."""


def server_address() -> str:
    """Read the model server's address from FRACTURE_SERVER.

    Returns:
        The address without a final slash; "" if the variable is not set.

    Raises:
        EngineError: It is not a valid address.
    """
    address = os.environ.get(SETTING, "").strip().rstrip("/")
    if not address:
        return ""
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port is not None
    except ValueError:
        sound = False
    if not sound or parts.username or parts.query or parts.fragment:
        raise EngineError(
            f"{SETTING} is not the address of a model server; set it to one such as http://127.0.0.1:8080."
        )
    return address


def notice() -> str:
    """Say where images are sent and in what form, for the page; "" if they stay on this computer.

    Returns:
        A sentence, or "".
    """
    try:
        address = server_address()
    except EngineError as error:
        return str(error)
    return (
        f"The network runs on the model server at {address}. It receives each letterboxed image at the network's input "
        "size, without the file's name or header."
        if address
        else ""
    )


def reading_engine(local: Engine | TensorFlowEngine, model: str) -> Engine | TensorFlowEngine | RemoteEngine:
    """Return the engine to use: `local`, or the server's if FRACTURE_SERVER is set, with `local` as its fallback.

    Args:
        local: The engine on this computer.
        model: Name of the network on the server.

    Returns:
        The engine.

    Raises:
        EngineError: The address is invalid.
    """
    address = server_address()
    return RemoteEngine(address, model, local) if address else local


class RemoteEngine:
    """A network on a model server, behind `Engine`'s interface. Thread-safe: make it once and share it.

    After a failure `local` runs everything; every `again` seconds one look in the background tells whether the server
    is back, so nobody ever waits for one that is away.
    """

    def __init__(self, address: str, model: str, local: Engine | TensorFlowEngine, *, again: float = 30.0):
        self.graph = local.graph
        self.address = address
        self._model = model
        self._local = local
        self._again = again
        self._lock = threading.Lock()
        self._away = ""
        self._next_look = 0.0
        self._mine = threading.local()
        # The client belongs to the thread that made it; a few of our own keep theirs, whoever asks.
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="model-server")

    @property
    def remark(self) -> str:
        """What to say of this thread's last run: "" where the server did it, else why this computer did."""
        return getattr(self._mine, "remark", "")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each output for one image, by name: (h, w, C) or (C,)."""
        return self._local.shapes

    def run(self, squares: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network as `Engine.run` does.

        Args:
            squares: Letterboxed images, uint8 or float32 (n, S, S), 0..255.

        Returns:
            Every output by name, float32.
        """
        self._local.check(squares)
        self._mine.remark = ""
        if not len(squares):
            return self._local.run(squares)
        away = self._away_now()
        if not away:
            try:
                return self._ask(squares)
            except _AwayError as error:
                away = str(error)
                self._leave(away)
        self._mine.remark = (
            f"The model server at {self.address} {away}; the image was assessed on this computer instead."
        )
        return self._local.run(squares)

    def _away_now(self) -> str:
        """Return why the server is not asked, "" where it is."""
        with self._lock:
            if self._away and time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + self._again
                self._pool.submit(self._look)
            return self._away

    def _leave(self, reason: str) -> None:
        with self._lock:
            if not self._away:
                _log.warning("The model server at %s %s; this computer reads meanwhile.", self.address, reason)
            self._away, self._next_look = reason, time.monotonic() + self._again

    def _look(self) -> None:
        """Ask whether the server is back; in the background."""
        try:
            square = np.zeros((1, *self.graph.input_size), np.uint8)
            self._request(square)
        except _AwayError as error:
            self._leave(str(error))
            return
        with self._lock:
            self._away = ""
        _log.warning("The model server at %s is back.", self.address)

    def _ask(self, squares: np.ndarray) -> dict[str, np.ndarray]:
        parts = [squares[start : start + _BATCH] for start in range(0, len(squares), _BATCH)]
        answers = [self._pool.submit(self._request, part) for part in parts]
        try:
            batches = [answer.result(_CONNECT + _ANSWER) for answer in answers]
        except TooLate as error:
            raise _AwayError("takes too long to answer") from error
        finally:
            for answer in answers:
                answer.cancel()
        return {name: np.concatenate([outputs[name] for outputs in batches]) for name in self.graph.outputs}

    def _request(self, squares: np.ndarray) -> dict[str, np.ndarray]:
        """Ask the server once, in a thread of the pool; raise _AwayError on whatever goes wrong."""
        try:
            from tritonclient.utils import InferenceServerException
        except ImportError as error:
            raise _AwayError(
                "cannot be asked, because its client is not installed (pip install -r requirements-server.txt)"
            ) from error
        try:
            return self._checked(self._infer(squares), len(squares))
        except InferenceServerException as error:
            # The server answered, so the connection works. Its message may name anything, so it goes to the log alone.
            _log.info("The model server says: %s", error)
            raise _AwayError(f"does not offer the network {self._model}") from error
        except _AwayError:
            raise
        except Exception as error:  # sockets, timeouts, TLS and half an answer, each with errors of its own
            self._mine.client = None
            raise _AwayError(f"does not answer ({type(error).__name__})") from error

    def _infer(self, squares: np.ndarray) -> dict[str, np.ndarray]:
        from tritonclient.http import InferInput, InferRequestedOutput

        client, binary = self._client()
        images = np.ascontiguousarray(squares, np.float32)[..., None]
        tensor = InferInput(INPUT, list(images.shape), "FP32")
        tensor.set_data_from_numpy(images, binary_data=binary)
        wanted = [InferRequestedOutput(name, binary_data=binary) for name in self.graph.outputs]
        result = client.infer(self._model, [tensor], outputs=wanted)
        return {name: result.as_numpy(name) for name in self.graph.outputs}

    def _client(self) -> tuple[Any, bool]:
        """Return this thread's client, and whether the server takes numbers as bytes, which is faster than as text."""
        from tritonclient.http import InferenceServerClient

        if getattr(self._mine, "client", None) is None:
            scheme, _, host = self.address.partition("://")
            client = InferenceServerClient(
                host, ssl=scheme == "https", connection_timeout=_CONNECT, network_timeout=_ANSWER
            )
            extensions = client.get_server_metadata().get("extensions") or []
            self._mine.client = client, any(str(name).startswith("binary_tensor_data") for name in extensions)
        return self._mine.client

    def _checked(self, outputs: Mapping[str, np.ndarray | None], n: int) -> dict[str, np.ndarray]:
        """Return float32 copies; raise _AwayError unless every output is there, in shape and finite."""
        for name, shape in self._local.shapes.items():
            values = outputs[name]
            if values is None or values.shape != (n, *shape) or not np.isfinite(values).all():
                raise _AwayError(f"returned no valid {name!r}")
        return {name: np.array(values, np.float32) for name, values in outputs.items()}
