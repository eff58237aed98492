"""Files are written whole, with the permissions that the umask asks for, whatever other threads write meanwhile."""

from __future__ import annotations

import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fracture_core.files import atomic_write, write_bytes

POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    write_bytes(tmp_path / "a.txt", b"before")
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


@POSIX
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "a.bin", b"x")
        (tmp_path / "plain").write_bytes(b"x")
    finally:
        os.umask(before)
    assert permissions(tmp_path / "a.bin") == permissions(tmp_path / "plain") == 0o666 & ~umask


@POSIX
@pytest.mark.parametrize("mode", [0o666, 0o600])
def test_a_writer_that_makes_a_file_of_its_own_does_not_decide_the_permissions(tmp_path, mode):
    before = os.umask(0o022)
    try:
        with atomic_write(tmp_path / "weights", mode=mode) as temporary:
            (tmp_path / "its own").write_bytes(b"x")
            (tmp_path / "its own").chmod(0o640)
            (tmp_path / "its own").replace(temporary)
    finally:
        os.umask(before)
    assert permissions(tmp_path / "weights") == mode & ~0o022


@POSIX
def test_what_is_private_is_so_from_the_start(tmp_path):
    with atomic_write(tmp_path / "key", mode=0o600) as temporary:
        assert permissions(temporary) == 0o600
    assert permissions(tmp_path / "key") == 0o600


@POSIX
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    path = tmp_path / "log"
    for mode in (0o600, 0o660, 0o644, 0o444):
        path.touch()
        path.chmod(mode)
        with atomic_write(path) as temporary:
            assert permissions(temporary) & 0o077 & ~mode == 0
            temporary.write_bytes(b"x")
        assert permissions(path) == mode


@POSIX
def test_writing_never_touches_the_umask_of_the_process(tmp_path, monkeypatch):
    """Set for a moment to be read, as Python's only call for it does, it would hold for other threads' files."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask was set"))
    write_bytes(tmp_path / "a.bin", b"x")


@POSIX
def test_threads_that_write_at_once_leave_the_permissions_as_they_are(tmp_path):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: write_bytes(tmp_path / str(n % 40), b"x"), range(400)))
    finally:
        sys.setswitchinterval(interval)
    (tmp_path / "after").write_bytes(b"")
    expected = permissions(tmp_path / "after")
    assert expected != 0o666 and {permissions(path) for path in tmp_path.iterdir()} == {expected}
