"""Writing files so that a reader, or a crash, never meets half of one."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

#: Longest wait for another thread or process that writes the same file, in seconds; a write takes milliseconds.
_PATIENCE = 10


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; on a clean exit it is flushed to disk and renamed onto `path`.

    On an exception the temporary file is removed and `path` is left as it was. The rename is atomic on POSIX
    and Windows, because both names are in one folder. The temporary name keeps `path`'s suffix, because some
    writers choose a format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes files private to the user; a published file follows the umask like any other.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` in one atomic step."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8 in one atomic step."""
    write_bytes(path, text.encode("utf-8"))


def append_durably(path: str | os.PathLike[str], data: bytes) -> None:
    """Append whole lines to a file and wait until they are on disk: all of them, or none on an error.

    A new file is readable by its owner alone. Hold `exclusive_lock(path)` around it where several may write.

    Args:
        path: The file; made if it is not there.
        data: Lines, each with its end.

    Raises:
        OSError: They cannot be written; the file is as it was.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        # Half a line can only be left by a machine that went down; the next one must not be joined to it.
        torn = before and _last_byte(descriptor, before) != b"\n"
        data = b"\n" + data if torn else data
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)


def _last_byte(descriptor: int, size: int) -> bytes:
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1)


@contextmanager
def exclusive_lock(path: str | os.PathLike[str]) -> Iterator[None]:
    """Keep every other thread and process that asks for the same path waiting; for reading, changing and writing it.

    The lock is a hidden file beside `path`; the system itself lets go of it when its holder dies. Raises OSError where
    the folder cannot be written, and TimeoutError (an OSError) where the other one takes too long.
    """
    path = Path(path)
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=_PATIENCE):
            yield
    except Timeout as error:
        raise TimeoutError(errno.ETIMEDOUT, "another program keeps it busy") from error


def swap_paths(one: Path, other: Path) -> bool:
    """Let two paths of one file system change places in one atomic step; False where this system has no such step."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # an older C library
        return False
    here, swap = -100, 2  # AT_FDCWD and RENAME_EXCHANGE, linux/fcntl.h and linux/fs.h
    if rename(here, os.fsencode(one), here, os.fsencode(other), swap) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS):  # a file system, or a kernel, that cannot
        return False
    raise OSError(number, os.strerror(number), str(one))
