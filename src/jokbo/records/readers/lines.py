"""Lines of a text log, read in pieces and bounded."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.errors import FormatError
from jokbo.records.readers.base import MAX_LINE_BYTES, LogFile, head_of


class Lines:
    """Lines of a file with their numbers from 1, without their ends.

    After the last, `unfinished` says whether it lacked an end: then the writer was stopped, or the file cut,
    and it may be part of a line.

    Parameters
    ----------
    file : LogFile
    """

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self.number = 0
        self.unfinished = False

    def __iter__(self) -> Iterator[bytes]:
        """Lines, ends left out.

        Raises
        ------
        FormatError
            A line is too long, or holds a zero byte.
        """
        head = head_of(self._file)
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise FormatError(
                f"{self._file.name}, offset 0: UTF-16 text; expected UTF-8. Save it again as UTF-8."
            )
        with self._file.path.open("rb") as opened:
            if head.startswith(b"\xef\xbb\xbf"):
                opened.seek(3)
            while line := opened.readline(MAX_LINE_BYTES + 1):
                self.number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise FormatError(
                        f"{self._file.name}, line {self.number:,}: longer than {MAX_LINE_BYTES:,} bytes; a row of "
                        "a log is not. This is another kind of file, or a damaged one."
                    )
                if b"\0" in line:
                    raise FormatError(
                        f"{self._file.name}, line {self.number:,}: holds a zero byte, which text does not. "
                        "This is a binary file, or a damaged one."
                    )
                if line.endswith(b"\n"):
                    yield line[:-2] if line.endswith(b"\r\n") else line[:-1]
                else:
                    self.unfinished = True
                    yield line

    def text(self) -> Iterator[str]:
        """The same as text.

        Raises
        ------
        FormatError
            A line is not UTF-8.
        """
        for line in self:
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise FormatError(
                    f"{self._file.name}, line {self.number:,}: not UTF-8 at byte {error.start:,} of the line. "
                    "Save the file as UTF-8, or fetch it again."
                ) from None
