"""Write files atomically: neither a reader nor a crash ever sees half of one."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

#: Longest wait, in seconds, for another thread or process that writes the same file; a write takes milliseconds.
_LOCK_TIMEOUT_S = 10


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: int = 0o666) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on a clean exit, flush it to disk and rename it to `path`.

    On an exception the temporary file is removed and `path` is left as it was. The rename is atomic on POSIX and
    Windows, because both names are in one folder. The temporary name keeps the suffix, because some writers choose a
    format by it.

    Args:
        path: The file to write; its folder is created if necessary.
        mode: A new file's permissions before the umask; 0o600 for what only its owner may read. A file that is
            replaced keeps the permissions that it has.

    Yields:
        The temporary path, an empty file.

    Raises:
        OSError: The file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    kept = stat.S_IMODE(path.stat().st_mode) & 0o777 if path.is_file() else None
    # Opened so, it has its permissions from the start. The umask belongs to the process: setting it, even for a moment
    # to read it, would change the files of other threads.
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode if kept is None else kept | 0o600)
    allowed = stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o777 if kept is None else kept
    os.close(descriptor)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # Some writers put a file of their own in its place, with permissions of their own.
        temporary.chmod(allowed)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes to a file atomically.

    Args:
        path: The file to write.
        data: Its content.

    Raises:
        OSError: The file cannot be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text to a file atomically, as UTF-8.

    Args:
        path: The file to write.
        text: Its content.

    Raises:
        OSError: The file cannot be written.
    """
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


def file_stamp(path: str | os.PathLike[str]) -> str:
    """Return a file's size and modification time as text: equal as long as nobody changes the file.

    Args:
        path: The file.

    Returns:
        "SIZE NANOSECONDS".

    Raises:
        OSError: There is no such file.
    """
    status = Path(path).stat()
    return f"{status.st_size} {status.st_mtime_ns}"


@contextmanager
def exclusive_lock(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a lock on a path, so that other threads and processes wait; for read-modify-write.

    The lock is a hidden file beside `path`; the operating system releases it if its holder dies.

    Args:
        path: The file to protect.

    Yields:
        Nothing.

    Raises:
        OSError: The folder cannot be written.
        TimeoutError: Another process held the lock for too long; a kind of OSError.
    """
    path = Path(path)
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_TIMEOUT_S):
            yield
    except Timeout as error:
        raise TimeoutError(errno.ETIMEDOUT, "another program is using it") from error


def swap_paths(first: Path, other: Path) -> bool:
    """Exchange two paths of one file system atomically.

    Args:
        first: The first path; it must exist.
        other: The second path; it must exist.

    Returns:
        Whether they were exchanged; False if this system has no such operation.

    Raises:
        OSError: The exchange failed.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # an older C library
        return False
    here, swap = -100, 2  # AT_FDCWD and RENAME_EXCHANGE, linux/fcntl.h and linux/fs.h
    if rename(here, os.fsencode(first), here, os.fsencode(other), swap) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS):  # not supported by the file system or the kernel
        return False
    raise OSError(number, os.strerror(number), str(first))
