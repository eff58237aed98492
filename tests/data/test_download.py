from __future__ import annotations

import hashlib
import re
import shutil
import stat
import threading
import zipfile
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from fracture_core.data import download as module
from fracture_core.data.archive import UnsafeArchiveError, unpack
from fracture_core.data.download import DownloadError, DownloadStoppedError, download, download_job, kept_bytes
from fracture_core.data.fracatlas import FracAtlas
from pages.parts.dataset.download import download_status_text, offer
from tests.support.miniature import Entry, archive, build


class Server:
    """A publisher that can be told to misbehave; remembers the Range of every request."""

    def __init__(self, content: bytes) -> None:
        self.content, self.ranges = content, []
        self.drop_after: int | None = None  # bytes of an answer after which the connection breaks
        self.drops = 1  # how many answers break
        self.knows_ranges, self.tells_length, self.status = True, True, 200
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/files/65518038"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.ranges.append(wanted)
        start = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted and self.knows_ranges else 0
        body = self.content[start:]
        request.send_response(self.status if self.status != 200 else 206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.tells_length:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.drop_after is not None and self.drops > 0:
            self.drops -= 1
            body = body[: self.drop_after]
        request.wfile.write(body)
        request.close_connection = True

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("published")
    box = (10.0, 20.0, 30.0, 12.0)
    entries = [Entry(f"IMG{n:07}") for n in range(20)] + [Entry("IMG9", ("Fractured",), 1, boxes=(box,))]
    return archive(build(folder / "tree", entries), folder / "FracAtlas.zip").read_bytes()


@pytest.fixture
def server(content, monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    monkeypatch.setattr(module, "_CHUNK", 4096)
    server = Server(content)
    yield server
    server.close()


@pytest.fixture
def fetch(server, content, tmp_path):
    def fetch(**changes):
        wanted = {"url": server.url, "size": len(content), "md5": hashlib.md5(content).hexdigest()}
        return download(tmp_path / "data" / "FracAtlas", **(wanted | changes))

    fetch.destination = tmp_path / "data" / "FracAtlas"
    return fetch


def leftovers(destination) -> list[str]:
    """Everything beside the destination but the lock."""
    names = [path.name for path in destination.parent.iterdir() if path.suffix != ".lock"]
    return sorted(set(names) - {destination.name})


def assert_not_installed(destination) -> None:
    assert not destination.exists()


def test_it_is_fetched_checked_and_installed(fetch, server, content):
    seen = []
    assert fetch(progress=lambda done, total: seen.append((done, total))) == fetch.destination
    dataset = FracAtlas(fetch.destination)
    assert len(dataset) == 21 and int(dataset.table["label"].sum()) == 1
    assert seen[-1] == (len(content), len(content)) and seen == sorted(seen) and len(seen) > 5
    assert leftovers(fetch.destination) == []
    assert fetch() == fetch.destination and len(server.ranges) == 1  # a second call finds it there


def test_a_dropped_connection_is_taken_up_where_it_broke(fetch, server, content):
    server.drop_after, server.drops = len(content) // 2, 1
    fetch()
    assert server.ranges[0] is None
    assert re.fullmatch(r"bytes=\d+-", server.ranges[1])
    assert 0 < int(server.ranges[1][6:-1]) <= len(content) // 2
    assert len(FracAtlas(fetch.destination)) == 21


def test_a_server_that_ignores_ranges_is_read_from_the_start(fetch, server, content):
    server.drop_after, server.drops, server.knows_ranges = len(content) // 2, 1, False
    fetch()
    assert len(server.ranges) == 2 and len(FracAtlas(fetch.destination)) == 21


def test_a_line_that_keeps_breaking_gives_up_keeps_what_came_and_goes_on_later(fetch, server, content):
    server.drop_after, server.drops = 0, 99
    with pytest.raises(DownloadError, match="it resumes from there"):
        fetch()
    server.drop_after, server.drops = len(content) // 3, 1
    stop = threading.Event()
    with pytest.raises(DownloadStoppedError):
        fetch(cancelled=stop, progress=lambda done, total: stop.set() if done > total // 4 else None)
    assert_not_installed(fetch.destination)
    (part,) = leftovers(fetch.destination)
    kept = (fetch.destination.parent / part).stat().st_size
    assert 0 < kept < len(content)
    server.ranges.clear()
    server.drops = 0
    fetch()
    assert server.ranges == [f"bytes={kept}-"]
    assert leftovers(fetch.destination) == []


def test_nobody_there(fetch, server):
    server.close()
    with pytest.raises(DownloadError, match="try again"):
        fetch()
    assert_not_installed(fetch.destination)


@pytest.mark.parametrize("tells_length", [True, False])
@pytest.mark.parametrize("change", [b"more", None])
def test_a_wrong_length_is_refused(fetch, server, content, change, tells_length):
    server.content = content + change if change else content[:-100]
    server.tells_length = tells_length
    with pytest.raises(DownloadError, match=r"another file|connection broke"):
        fetch()
    assert_not_installed(fetch.destination)


def test_a_wrong_checksum_is_refused_and_not_kept(fetch, server, content):
    spoiled = bytearray(content)
    spoiled[len(content) // 2] ^= 1
    server.content = bytes(spoiled)
    with pytest.raises(DownloadError, match="checksum is wrong"):
        fetch()
    assert_not_installed(fetch.destination)
    assert leftovers(fetch.destination) == []
    server.content = content
    fetch()  # nothing of the damaged one stands in the way
    assert len(FracAtlas(fetch.destination)) == 21


@pytest.mark.parametrize("status", [202, 403, 404, 500, 503])
def test_a_server_that_refuses(fetch, server, status):
    server.status = status
    with pytest.raises(DownloadError, match=r"refused|connection broke"):
        fetch()
    assert_not_installed(fetch.destination)


def test_too_little_room_is_said_before_anything_is_fetched(fetch, server, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10, 9, 1))
    with pytest.raises(DownloadError, match="free disk"):
        fetch()
    assert server.ranges == [] and not fetch.destination.exists()


def test_what_is_there_and_is_not_fracatlas_is_left_alone(fetch, server):
    fetch.destination.mkdir(parents=True)
    (fetch.destination / "thesis.txt").write_text("years of work")
    with pytest.raises(DownloadError, match="move it or choose"):
        fetch()
    assert (fetch.destination / "thesis.txt").read_text() == "years of work" and server.ranges == []


def test_an_empty_folder_is_filled(fetch):
    fetch.destination.mkdir(parents=True)
    assert len(FracAtlas(fetch())) == 21


def test_stopping_while_unpacking_installs_nothing_and_fetches_nothing_again(fetch, server, content):
    stop = threading.Event()
    with pytest.raises(DownloadStoppedError):
        fetch(cancelled=stop, progress=lambda done, total: stop.set() if done == total else None)
    assert_not_installed(fetch.destination)
    fetch()
    assert len(server.ranges) == 1 and leftovers(fetch.destination) == []


def test_two_at_once(fetch, server):
    """The second is told so, and the first ends well."""
    refused = []

    def second(done, total):
        if not refused:
            with pytest.raises(DownloadError, match="already") as caught:
                fetch()
            refused.append(caught)

    fetch(progress=second)
    assert refused and len(FracAtlas(fetch.destination)) == 21


@pytest.mark.parametrize("inside", ["a text", "another dataset"])
def test_an_archive_that_is_not_fracatlas(fetch, server, tmp_path, inside):
    file = tmp_path / "other.zip"
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("readme.txt" if inside == "a text" else "x/dataset.csv", "hello")
    server.content = file.read_bytes()
    with pytest.raises(DownloadError, match="FracAtlas"):
        fetch(size=len(server.content), md5=hashlib.md5(server.content).hexdigest())
    assert_not_installed(fetch.destination)


def test_bytes_that_are_no_archive(fetch, server):
    server.content = b"<html>busy</html>"
    with pytest.raises(DownloadError, match="damaged"):
        fetch(size=len(server.content), md5=hashlib.md5(server.content).hexdigest())
    assert_not_installed(fetch.destination)


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "a/../../evil.txt", "/evil.txt", "..\\evil.txt", "C:\\evil.txt", "C:evil.txt", "a/./../../e"],
)
def test_no_path_leaves_the_folder(tmp_path, name):
    folder = tmp_path / "inner"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as zipped:
        zipped.writestr("fine.txt", "fine")
        zipped.writestr(name, "evil")
    with pytest.raises(UnsafeArchiveError, match="leaves its folder"):
        unpack(tmp_path / "z.zip", folder, most_bytes=1000)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inner", "z.zip"]


def test_no_link_is_made(tmp_path):
    folder = tmp_path / "inner"
    folder.mkdir()
    link = zipfile.ZipInfo("images")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as zipped:
        zipped.writestr(link, "/etc")
    with pytest.raises(UnsafeArchiveError, match="link"):
        unpack(tmp_path / "z.zip", folder, most_bytes=1000)
    assert list(folder.iterdir()) == []


def test_a_bomb_is_refused_before_it_unfolds(tmp_path):
    folder = tmp_path / "inner"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("zeros", bytes(5_000_000))
    with pytest.raises(UnsafeArchiveError, match="would fill"):
        unpack(tmp_path / "z.zip", folder, most_bytes=1_000_000)
    assert list(folder.iterdir()) == []


def test_a_bomb_that_understates_itself_is_stopped(tmp_path):
    folder = tmp_path / "inner"
    folder.mkdir()
    file = tmp_path / "z.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("zeros", bytes(5_000_000))
    file.write_bytes(file.read_bytes().replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(UnsafeArchiveError, match="damaged"):
        unpack(file, folder, most_bytes=1_000_000)
    assert sum(path.stat().st_size for path in folder.rglob("*")) <= 1_000_000


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_within_a_file_is_named_whatever_the_compression(tmp_path, method):
    content = np.random.default_rng(0).integers(0, 64, 20_000, np.uint8).tobytes()
    with zipfile.ZipFile(tmp_path / "z.zip", "w", method) as zipped:
        zipped.writestr("a", content)
    data = (tmp_path / "z.zip").read_bytes()
    for place in range(40, len(data) - 100, 997):
        (tmp_path / "z.zip").write_bytes(data[:place] + b"\xff" * 8 + data[place + 8 :])
        (tmp_path / str(place)).mkdir()
        with pytest.raises(UnsafeArchiveError, match="damaged"):
            unpack(tmp_path / "z.zip", tmp_path / str(place), most_bytes=1_000_000)


def test_an_archive_of_another_compression_is_not_called_damaged(tmp_path):
    """Windows packs what is larger than 2 GB with Deflate64, which Python does not read."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a", "hello")
    data = bytearray((tmp_path / "z.zip").read_bytes())
    for signature, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        data[data.index(signature) + offset] = 9
    (tmp_path / "z.zip").write_bytes(data)
    (tmp_path / "inner").mkdir()
    with pytest.raises(UnsafeArchiveError, match=r"compressed in a way .* \(That compression method"):
        unpack(tmp_path / "z.zip", tmp_path / "inner", most_bytes=1000)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as zipped:
        zipped.writestr("a.txt", "one")
        zipped.writestr("A.txt", "two")
    with pytest.raises(UnsafeArchiveError, match="twice"):
        unpack(tmp_path / "z.zip", tmp_path, most_bytes=1000)


def test_the_addresss_defaults_are_the_published_ones():
    assert (module.SIZE, module.MD5) == (338_436_460, "fe9da2c7c285915ebee69dfdab8fd396")
    assert module.URL.endswith("/65518038")


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 4096)
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    box = (10.0, 20.0, 30.0, 12.0)
    entries = [Entry(f"IMG{n:07}") for n in range(20)] + [Entry("IMG9", ("Fractured",), 1, boxes=(box,))]
    content = archive(build(tmp_path / "tree", entries), tmp_path / "FracAtlas.zip").read_bytes()
    server = Server(content)
    yield {"url": server.url, "size": len(content), "md5": hashlib.md5(content).hexdigest()}
    server.close()


def test_a_cancelled_download_goes_on_where_it_stopped(source, tmp_path, monkeypatch):
    destination = tmp_path / "here" / "FracAtlas"
    assert offer(destination).startswith("Download FracAtlas (338 MB)")
    job = download_job(destination, **source)
    assert download_job(destination, **source) is job
    # Cancelled from another thread as soon as a third has come, whatever the machine's speed.
    enough, checked = threading.Event(), threading.Event()

    inner = module._stop_if

    def stop_if(cancelled):
        if job.progress.done > source["size"] / 3 and not checked.is_set():
            enough.set()
            checked.wait(60)
        inner(cancelled)

    monkeypatch.setattr(module, "_stop_if", stop_if)
    job.start()
    assert enough.wait(60)
    job.cancel()
    checked.set()
    assert job.join(60).state == "stopped"
    kept = kept_bytes(destination, source["md5"])
    assert source["size"] / 3 < kept < source["size"]
    assert not destination.exists()
    again = download_job(destination, **source)
    assert again is job
    again.start()
    assert again.join(60).state == "done"
    assert len(FracAtlas(destination)) == 21
    assert kept_bytes(destination, source["md5"]) == 0
    assert "Verifying and extracting" in download_status_text(again.progress)
    assert download_job(destination, **source) is not job


def test_a_failed_download_says_why_and_can_be_tried_again(source, tmp_path):
    destination = tmp_path / "there" / "FracAtlas"
    job = download_job(destination, **(source | {"md5": "0" * 32}))
    job.start()
    assert job.join(60).state == "failed"
    assert "damaged" in job.progress.error
    assert not destination.exists()
