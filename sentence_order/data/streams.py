"""Finds out what a file is, by its first bytes rather than its name, and opens it: unpacked and decoded."""

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, cast

from sentence_order.data.layout import Layout
from sentence_order.errors import UserError, first_line

# What is looked at to find out what a file is.
START_BYTES = 2**16
PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
# First bytes of files that hold no text, with their names and the way out.
EXPORT = "export it as CSV or JSONL"
BINARY = {
    b"PAR1": ("a Parquet file", "{group}parquet reads it"),
    b"ARROW1": ("an Arrow or Feather file", "convert it to Parquet"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook or Office document", EXPORT),
    b"\x80": ("a Python pickle", EXPORT),
    b"\x93NUMPY": ("a numpy array", EXPORT),
    b"%PDF-": ("a PDF document", "extract its text"),
    b"\x28\xb5\x2f\xfd": ("packed by zstd", "unpack it: zstd -d FILE"),
    b"version https://git-lfs": ("a pointer of Git LFS", "fetch the data: git lfs pull"),
}
# A page or XML, by its first tag, or by any that stands alone in the first line.
MARKUP = re.compile(rb"<(?:\?xml|!doctype|(?:html|head|body|table|tr)\b|\w+(?:\s[^<>\r\n]*)?>\s*[\r\n])", re.IGNORECASE)
MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}  # the first begins as one of UTF-16 does
MARKS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# In UTF-8 or the encodings of Windows and Latin scripts; others have more letters beyond ASCII.
MAX_SHARE_BEYOND_ASCII = 0.25
UTF8_LETTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
CUT_LETTER = re.compile(rb"[\xc2-\xf4][\x80-\xbf]{0,2}$")
UNUSED_IN_CP1252 = re.compile(rb"[\0-\x08\x0e-\x1f\x81\x8d\x8f\x90\x9d]")


class FileError(UserError):
    """A fault behind which nothing more of the file can be read."""


def find_path_problem(path: str) -> str | None:
    """Why a path cannot be read as a file, or None. A pipe is refused, since one without a writer would block."""
    try:
        mode = os.stat(path).st_mode  # `os.path.isfile` would not tell a missing permission from a missing file
    except PermissionError:
        return "permission denied"
    except (OSError, ValueError):
        return "no such file"
    if not os.access(path, os.R_OK):
        return "permission denied"
    if stat.S_ISDIR(mode):
        return "a folder, not a file"
    return None if stat.S_ISREG(mode) else "a pipe or a device, not a file"


@contextmanager
def failures_as_user_errors(path: str) -> Iterator[None]:
    """Within the block a file is read, which may be packed."""
    try:
        yield
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(f"{path}: cannot be read: {first_line(error)}") from error


@contextmanager
def open_unpacked(path: str, layout: Layout) -> Iterator[io.BufferedReader]:
    """The bytes of a file (`-` is standard input), unpacked. Raises UserError, which says what it is, if no text."""
    with ExitStack() as stack:
        if path == "-":
            stream = cast(io.BufferedReader, sys.stdin.buffer)
        else:
            stream = io.BufferedReader(stack.enter_context(open(path, "rb", buffering=0)), START_BYTES)
        start = stream.peek(START_BYTES)
        for magic, open_packed in PACKED.items():
            if start.startswith(magic):
                if path == "-":
                    raise UserError("standard input is packed; unpack it first, as in: zcat FILE | COMMAND input=-")
                stream = io.BufferedReader(stack.enter_context(open_packed(stream)), START_BYTES)  # type: ignore
        if start.startswith((b"PK\3\4", b"PK\5\6")) and path != "-":
            stream = io.BufferedReader(stack.enter_context(_open_member(path)), START_BYTES)  # type: ignore
        if kind := identify(stream.peek(START_BYTES), layout):
            raise UserError(f"{path}: {kind}")
        yield stream


def _open_member(path: str) -> IO[bytes]:
    """The only file in a zip archive."""
    archive = zipfile.ZipFile(path)
    names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
    names = [name for name in names if not name.endswith("/") and not os.path.basename(name).startswith(".")]
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise UserError(f"{path}: an Excel workbook or another Office document, not text; {EXPORT}")
    if len(names) != 1:
        raise UserError(f"{path}: a zip archive of {len(names)} files, not of one; unpack it, and name its folder")
    if archive.getinfo(names[0]).flag_bits & 1:
        raise UserError(f"{path}: a zip archive with a password; unpack it")
    return archive.open(names[0])


def identify(start: bytes, layout: Layout) -> str | None:
    """What a file is, by its first bytes, if it is none that is read as text, with the way out."""
    for magic, (name, way) in BINARY.items():
        if start.startswith(magic):
            return f"{name}, not text; {way.format(group='data=' if layout.prefix else 'format=')}"
    if start.startswith(b"PK\3\4"):
        return "a zip archive on standard input or within another file; unpack it"
    if start[257:262] == b"ustar":
        return "a tar archive; unpack it, and name its folder"
    if MARKUP.match(start.lstrip()) and b"</" in start and not layout.any_text:
        way = "if the download has failed, fetch it again; otherwise extract the text"
        return f"a web page or XML, not data: {way} ({layout.as_any_text})"
    decoder = codecs.getincrementaldecoder(sniff_encoding(start))("replace")
    if layout.encoding is None and b"\0" in start and "\0" in decoder.decode(start):
        return f"a binary file, not text; {EXPORT}, or if it is text, set {layout.prefix}encoding"
    return None


@contextmanager
def open_text(path: str, layout: Layout) -> Iterator[tuple[str, io.TextIOWrapper]]:
    """The beginning of a file, and all of it, as text; what its encoding cannot spell passes as surrogates."""
    with open_unpacked(path, layout) as stream:
        start = stream.peek(START_BYTES)
        encoding = layout.encoding or sniff_encoding(start)
        errors = "surrogateescape" if codecs.lookup(encoding).name == "utf-8" else "strict"
        text = None
        try:
            beginning = codecs.getincrementaldecoder(encoding)("replace").decode(start).removeprefix("\ufeff")
            line_end = "\r" if "\r" in beginning and "\n" not in beginning else "\n"
            text = io.TextIOWrapper(stream, encoding, errors, newline=line_end)
            yield beginning, text
        except UnicodeError as error:
            key = f"{layout.prefix}encoding names the one of the file"
            raise FileError(f"{path}: not {encoding}: {first_line(error)}; {key}") from error
        finally:
            if text is not None:
                text.detach()  # closing it would close standard input


def sniff_encoding(start: bytes) -> str:
    """UTF-8, UTF-16 by its mark or its zeros, or cp1252 if there are a few letters beyond ASCII that are not UTF-8."""
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return encoding
    zeros = [start[offset::2].count(0) for offset in (0, 1)]
    if max(zeros) > len(start) / 4 and min(zeros) < max(zeros) / 10:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"

    whole = CUT_LETTER.sub(b"", start) if len(start) >= 2**12 else start  # at the end of what was peeked at
    beyond = sum(byte > 127 for byte in whole)
    in_utf8 = sum(map(len, UTF8_LETTER.findall(whole)))
    is_other = 2 * in_utf8 < beyond <= MAX_SHARE_BEYOND_ASCII * len(whole)  # a few others are damaged UTF-8
    return "cp1252" if is_other and not UNUSED_IN_CP1252.search(whole) else "utf-8"
