"""What is dropped on the page stays in memory: not on disk, not in the log, not in anybody else's session."""

from __future__ import annotations

import hashlib
import io
import os
import re
import resource
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fracture_core.data.review.review_set import FILE, ReviewSet
from tests.browser.app import ROOT, Server
from tests.support import dicom_files as dicom
from tests.support.miniature import picture

WAIT = 120_000
FOLDERS = ("home", "temporary", "cache", "config")
#: Where any program of this machine may leave something, besides the folders above.
ELSEWHERE = (ROOT, Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="watches the server through Linux' /proc")


@pytest.fixture(scope="module")
def guarded(small_models, tmp_path_factory) -> Iterator[tuple[Server, Path]]:
    """A server whose home, temporary and cache folders are our own, and these folders' parent."""
    root = tmp_path_factory.mktemp("guarded")
    with started(small_models, root) as running:
        yield running, root


@pytest.fixture(scope="module")
def reviewing(small_models, tmp_path_factory) -> Iterator[tuple[Server, Path]]:
    """The same, with a review folder beside the others."""
    root = tmp_path_factory.mktemp("reviewing")
    with started(small_models, root, FRACTURE_REVIEW_DIR=str(root / "review")) as running:
        yield running, root


@contextmanager
def started(small_models, root: Path, **more: str) -> Iterator[Server]:
    for name in FOLDERS:
        (root / name).mkdir()
    shutil.copytree(small_models, root / "models")
    running = Server(
        root / "log",
        HOME=str(root / "home"),
        TMPDIR=str(root / "temporary"),
        XDG_CACHE_HOME=str(root / "cache"),
        XDG_CONFIG_HOME=str(root / "config"),
        FRACTURE_CACHE_DIR=str(root / "cache" / "fracture"),
        FRACTURE_SETTINGS=str(root / "config" / "settings.json"),
        FRACTURE_MODELS_DIR=str(root / "models"),
        FRACATLAS_DIR=str(root / "none"),
        **more,
    )
    running.wait()
    yield running
    running.stop()


def noise(name: str) -> bytes:
    """A PNG of over 1 MB, which a server left alone would put into a temporary file."""
    pixels = np.random.default_rng(list(name.encode())).integers(0, 256, (1200, 1000), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    assert len(file.getvalue()) > 2**20
    return file.getvalue()


def traces(data: bytes, *words: str) -> list[bytes]:
    """What would give a file away: pieces of it, its hash, and words from its name and header."""
    pieces = [data[at : at + 48] for at in range(1000, len(data) - 48, len(data) // 7)]
    return [*pieces, hashlib.sha256(data).hexdigest().encode(), *(word.encode() for word in words)]


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    files = (path for name in (*FOLDERS, "models") for path in (root / name).rglob("*"))
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.is_file()}


def changed_since(moment: float, own: Path) -> Iterator[Path]:
    """Files of this machine that changed after `moment`, in the places where a program may write."""
    for start in ELSEWHERE:
        for folder, below, names in os.walk(start):
            # The browser is the clinician's, not the server's; what the test sends lies beside `own`.
            below[:] = [
                name
                for name in below
                if name not in (".git", ".venv", "__pycache__") and "playwright" not in name and "chrom" not in name
            ]
            if Path(folder) == own:
                below.clear()
                continue
            for path in (Path(folder) / name for name in names):
                try:
                    status = path.lstat()
                except OSError:
                    continue
                if (
                    status.st_mtime >= moment
                    and 0 < status.st_size < 2**24
                    and path.is_file()
                    and not path.is_symlink()
                ):
                    yield path


def open_files(server: Server) -> set[str]:
    """Files that the server has open for writing, deleted ones too; its log, sockets, devices and memory left out."""
    found = set()
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        try:
            target, status = str(link.readlink()), link.stat()
            flags = int(re.search(r"flags:\s*(\d+)", Path(f"{link.parent}info/{link.name}").read_text())[1], 8)
        except OSError:
            continue
        named = not target.startswith(("/dev/", "/memfd:"))  # memory without a name is on no disk
        if target.startswith("/") and named and flags & 3 and target != str(server.log):
            found.add(f"{target} of {status.st_size} bytes")
    return found


def drop(browser, server: Server, path: Path):
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.goto(server.url)
    page.locator("input[type=file]").wait_for(state="attached", timeout=WAIT)
    page.locator("input[type=file]").set_input_files(str(path))
    page.locator(".answer").wait_for(timeout=WAIT)
    return page


@pytest.fixture(scope="module")
def uploads(tmp_path_factory) -> Path:
    """Files on the clinician's machine."""
    return tmp_path_factory.mktemp("clinician")


def test_an_upload_leaves_nothing_on_disk_in_the_log_or_in_another_session(browser, guarded, uploads):
    server, root = guarded
    (uploads / "first.png").write_bytes(noise("first"))
    # What a first reading of anything loads or makes is no trace of the next one.
    drop(browser, server, uploads / "first.png").context.close()
    other = browser.new_context().new_page()
    heard: list[bytes] = []

    def listen(socket) -> None:
        socket.on("framereceived", lambda frame: heard.append(frame if isinstance(frame, bytes) else frame.encode()))

    other.on("websocket", listen)
    other.goto(server.url)
    other.locator("input[type=file]").wait_for(state="attached", timeout=WAIT)

    png = noise("second")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom may, or may not, warn of the odd date
        made = dicom.dataset(
            picture(5), PatientName="Zwiebelfisch^Odalinde", PatientID="MRN-777123", StudyDate="not a date"
        )
        film = dicom.file_bytes(made)
    (uploads / "quibblewort.png").write_bytes(png)
    (uploads / "snickerdoodle.dcm").write_bytes(film)
    moment = (uploads / "snickerdoodle.dcm").stat().st_mtime
    before = snapshot(root)
    pages = [drop(browser, server, uploads / name) for name in ("quibblewort.png", "snickerdoodle.dcm")]
    assert "Zwiebelfisch" not in pages[1].content()
    assert not open_files(server)
    other.reload()
    other.locator("input[type=file]").wait_for(state="attached", timeout=WAIT)

    given_away = [*traces(png, "quibblewort"), *traces(film, "snickerdoodle", "Zwiebelfisch", "MRN-777123")]
    found = [
        path for path in changed_since(moment, uploads) for data in [_bytes(path)] for t in given_away if t in data
    ]
    assert found == []
    assert snapshot(root) == before
    log = server.log.read_bytes()
    assert not [trace for trace in given_away if trace in log]
    assert heard
    assert not [trace for trace in given_away for frame in heard if trace in frame]
    for page in [*pages, other]:
        page.context.close()


def test_with_reviewing_on_a_verdict_writes_what_is_listed_and_nothing_else(browser, reviewing, uploads):
    server, root = reviewing
    (uploads / "warm.png").write_bytes(noise("warm"))
    drop(browser, server, uploads / "warm.png").context.close()
    review, png = root / "review", noise("fourth")
    before = snapshot(root)
    listed = {"README.txt", "secret.key", f".{FILE}.lock"}
    assert {path.name for path in review.rglob("*") if path.is_file()} == listed
    made = dicom.dataset(picture(5), PatientName="Zwiebelfisch^Odalinde", PatientID="MRN-777123")
    film = dicom.file_bytes(made)
    (uploads / "flumadiddle.png").write_bytes(png)
    (uploads / "gardyloo.dcm").write_bytes(film)
    moment = (uploads / "gardyloo.dcm").stat().st_mtime

    unread = drop(browser, server, uploads / "flumadiddle.png")
    page = drop(browser, server, uploads / "gardyloo.dcm")
    name = page.get_by_label("Your name or initials")
    name.fill("AB")
    name.press("Enter")
    page.get_by_text("0 of 1 read").wait_for(timeout=WAIT)
    page.locator(".port:visible").first.focus()
    page.keyboard.press("y")
    page.get_by_text("1 of 1 read").wait_for(timeout=WAIT)

    (entry,) = ReviewSet(review).verdicts()
    written = {str(path.relative_to(review)) for path in review.rglob("*") if path.is_file()}
    assert written == {*listed, FILE, f"images/{entry.image}.png"}
    assert snapshot(root) == before
    assert (entry.verdict, entry.reader, len(entry.patient)) == ("fracture", "AB", 32)
    assert (review / "images" / f"{entry.image}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    # Nothing of the film that had no verdict, and no identifier of the one that had, in the folder or anywhere else.
    identifiers = [b"Zwiebelfisch", b"Odalinde", b"MRN-777123", b"gardyloo", b"flumadiddle"]
    given_away = [*traces(png), *identifiers]
    places = [*changed_since(moment, uploads), *(path for path in review.rglob("*") if path.is_file())]
    assert [path for path in places for data in [_bytes(path)] for trace in given_away if trace in data] == []
    assert not [trace for trace in given_away if trace in server.log.read_bytes()]
    for one in (unread, page):
        one.context.close()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_the_system_lets_the_server_write_no_byte_and_it_reads_all_the_same(browser, guarded, uploads):
    """The kernel's own limit on file sizes: from here on a write to any file fails, a deleted one's too."""
    server, root = guarded
    (uploads / "third.png").write_bytes(noise("third"))
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        before = snapshot(root)
        page = drop(browser, server, uploads / "third.png")
        page.context.close()
        assert snapshot(root) == before
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_it_listens_on_this_machine_alone(guarded):
    server, _ = guarded
    own = {str(link.readlink()) for link in Path(f"/proc/{server.process.pid}/fd").iterdir() if link.is_symlink()}
    listening = []
    for table in ("tcp", "tcp6"):
        rows = [line.split() for line in Path(f"/proc/{server.process.pid}/net/{table}").read_text().splitlines()[1:]]
        listening += [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own]
    assert listening
    assert {address.partition(":")[0] for address in listening} <= {"0100007F", "00000000000000000000000001000000"}
