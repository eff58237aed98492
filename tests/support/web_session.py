"""One visitor of the app without a browser: Streamlit's websocket and its upload address, and what the page then says.

For tests and load scripts: what a browser would draw is never drawn, so twenty of these cost next to nothing.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Callable
from urllib.parse import urljoin

import cv2
import numpy as np
import requests
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

_COOKIE = "_streamlit_xsrf"


class TroubleError(Exception):
    """The server broke off, refused something, or took too long; a visitor would call that an error."""


class WebSession:
    """A visitor on the app at `url`, with its first page.

    `elements` is what the page shows, by place; `said` every sentence in a box that it ever showed.
    """

    def __init__(self, url: str, timeout: float = 60.0):
        self.url, self.timeout = url, timeout
        self.elements: dict[tuple[int, ...], Element] = {}
        self.said: list[str] = []
        self.finished = False
        self.session_id = ""
        self._uploads = 0
        self._file_urls = None
        self._there = ""
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.get(f"{url}/_stcore/health", timeout=timeout).raise_for_status()
        token = self._http.cookies[_COOKIE]
        self._http.headers["X-Xsrftoken"] = token
        self._socket = connect(
            url.replace("http", "ws", 1) + "/_stcore/stream",
            subprotocols=["streamlit", token],
            additional_headers={"Cookie": f"{_COOKIE}={token}"},
            origin=url,
            max_size=None,
            # A browser sends no pings of its own: what is too slow, `timeout` says.
            ping_interval=None,
            legacy=True,
            compression=None,
            proxy=None,
            open_timeout=timeout,
        )
        self._run()
        self.until(lambda: self.finished)

    def close(self) -> None:
        """Leave, as closing the tab does."""
        self._socket.close()
        self._http.close()

    def upload(self, name: str, data: bytes) -> None:
        """Put one file into the page's uploader in place of those there, and let the page run."""
        uploader = self.find(lambda e: e.WhichOneof("type") == "file_uploader")
        if uploader is None:
            raise TroubleError("the page has no uploader")
        self._uploads += 1
        self._file_urls, ask = None, BackMsg()
        ask.file_urls_request.request_id = str(self._uploads)
        ask.file_urls_request.session_id = self.session_id
        ask.file_urls_request.file_names.append(name)
        self._socket.send(ask.SerializeToString())
        self.until(lambda: self._file_urls is not None)
        [urls] = self._file_urls.file_urls
        put = self._http.put(urljoin(self.url, urls.upload_url), files={"file": (name, data)}, timeout=self.timeout)
        if not put.ok:
            raise TroubleError(f"the upload was refused: {put.status_code}")
        if self._there:  # as the browser does with a file that is taken out
            self._http.delete(urljoin(self.url, self._there), timeout=self.timeout)
        self._there = urls.delete_url
        message = BackMsg()
        widget = message.rerun_script.widget_states.widgets.add(id=uploader.file_uploader.id)
        info = widget.file_uploader_state_value.uploaded_file_info.add(file_id=urls.file_id, name=name, size=len(data))
        info.file_urls.CopyFrom(urls)
        self._run(message)

    def _run(self, message: BackMsg | None = None) -> None:
        if message is None:
            message = BackMsg()
            message.rerun_script.SetInParent()
        self.finished = False
        self._socket.send(message.SerializeToString())

    def until(self, true: Callable[[], bool]) -> None:
        """Take in what the server sends until `true()`; raise TroubleError past the timeout or where it breaks off."""
        end = time.monotonic() + self.timeout
        while not true():
            try:
                data = self._socket.recv(max(0.001, end - time.monotonic()))
            except TimeoutError as error:
                raise TroubleError(f"nothing for {self.timeout:.0f} s") from error
            except Exception as error:
                raise TroubleError(f"the server broke off: {error}") from error
            self._take(ForwardMsg.FromString(data))

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.session_id = message.new_session.initialize.session_id
            self.elements.clear()
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            element = message.delta.new_element
            self.elements[tuple(message.metadata.delta_path)] = element
            if element.WhichOneof("type") == "alert":
                self.said.append(element.alert.body)
        elif kind == "file_urls_response":
            self._file_urls = message.file_urls_response
        elif kind == "script_finished":
            self.finished = message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY

    def find(self, wanted: Callable[[Element], bool]) -> Element | None:
        """Give the first element of the page that fits."""
        return next((element for element in list(self.elements.values()) if wanted(element)), None)

    @property
    def alerts(self) -> list[str]:
        """The sentences of the page's boxes, whatever their colour."""
        return [e.alert.body for e in list(self.elements.values()) if e.WhichOneof("type") == "alert"]

    @property
    def traceback(self) -> str:
        """The page's exception, "" where there is none."""
        found = self.find(lambda e: e.WhichOneof("type") == "exception")
        return found.exception.message if found else ""

    @property
    def answer(self) -> str:
        """The answer card's HTML, "" where there is none."""
        found = self.find(lambda e: e.WhichOneof("type") == "html" and 'class="answer"' in e.html.body)
        return found.html.body if found else ""

    def viewer(self) -> tuple[str, np.ndarray] | None:
        """Give the name and the pixels, uint8 (H, W), of the radiograph in the viewer; None where none is open."""
        found = self.find(lambda e: e.WhichOneof("type") == "bidi_component" and "original" in _data(e))
        if found is None:
            return None
        shown = json.loads(_data(found))
        png = b64decode(shown["original"].partition(",")[2])
        return shown["name"], cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


def _data(element: Element) -> str:
    component = element.bidi_component
    return component.mixed.json if component.WhichOneof("data") == "mixed" else component.json
