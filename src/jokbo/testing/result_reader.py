"""What every reader of evaluation results must do, as a suite to subclass.

A reader of your own is conformant when a subclass of :class:`ResultReaderConformance` passes that says which reader it
is and writes one whole run of one model, with rows::

    class TestMyReader(ResultReaderConformance):
        reader = "my_reader"

        def write(self, folder):
            (folder / "run.mine").write_bytes(...)
"""

# ruff: noqa: D102 - the name of each law says what it holds
from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jokbo.errors import InputError, JokboError
from jokbo.league.results.base import MAX_FILE_BYTES, ItemRows, ResultFile, TaskResult
from jokbo.league.results.choose import choose, read_files, reader_of
from jokbo.league.results.every_eval_ever_export import Origin, write_exported
from jokbo.testing.results import result_files

CUTS = 20
"""Lengths at which a file is cut, besides the ends of its first lines."""


class ResultReaderConformance:
    """Tests that any reader of results passes; subclass, name the reader and define :meth:`write`."""

    reader: str
    fields: Sequence[str] = ()

    def write(self, folder: Path) -> None:
        """Write the files of one whole run into an empty folder."""
        raise NotImplementedError("a subclass writes its files")

    @contextmanager
    def run_files(self) -> Iterator[list[ResultFile]]:
        """The files of a run."""
        with tempfile.TemporaryDirectory() as folder:
            self.write(Path(folder))
            yield result_files(Path(folder))

    def read(self, files: Sequence[ResultFile]) -> tuple[TaskResult, ...]:
        """Read them with the reader under test."""
        return reader_of(self.reader).read(files, fields=self.fields)

    def test_its_files_are_recognised_by_it_and_by_no_reader_before(self) -> None:
        with self.run_files() as files:
            assert {choose(file) for file in files} == {self.reader}

    def test_rows_are_whole(self) -> None:
        with self.run_files() as files:
            found = [result.rows for result in self.read(files) if result.rows is not None]
        assert found
        for rows in found:
            assert len(rows.ids) == len(rows.digests) == len(rows.places) == len(rows.repeats) > 0
            assert len(set(zip(rows.ids, rows.repeats.tolist(), strict=True))) == len(rows.ids)
            assert rows.scores
            for scores in rows.scores.values():
                assert scores.shape == (len(rows.ids),)
                assert np.isfinite(scores).all()
            assert set(self.fields) <= set(rows.fields)

    def test_published_errors_are_positive_or_absent(self) -> None:
        with self.run_files() as files:
            figures = [each for result in self.read(files) for each in result.published]
        assert all(each.standard_error is None or each.standard_error > 0 for each in figures)

    def test_reading_twice_and_in_another_order_gives_the_same(self) -> None:
        with self.run_files() as files:
            once, again = self.read(files), self.read(files[::-1])
        assert _by_task(once) == _by_task(again)

    def test_an_export_reads_back_equal(self) -> None:
        with self.run_files() as files, tempfile.TemporaryDirectory() as folder:
            results = self.read(files)
            write_exported(results, Path(folder) / "out", Origin())
            back = read_files(result_files(Path(folder) / "out"), fields=self.fields)
        assert _by_task(results) == _by_task(back)

    def test_a_cut_file_is_refused_or_read_as_far_as_it_goes(self) -> None:
        with self.run_files() as files:
            whole = _by_task(self.read(files))
            for k, file in enumerate(files):
                for cut in _cuts(file.path.read_bytes()):
                    with _replaced(files, k, file.path.read_bytes()[:cut]) as changed:
                        try:
                            found = _by_task(self.read(changed))
                        except InputError:
                            continue
                    for key, result in found.items():
                        assert _starts(result, whole[key]), f"{file.name} cut at {cut} changed {key}"

    def test_damage_is_an_error_of_ours_or_none(self) -> None:
        with self.run_files() as files:
            for k, file in enumerate(files):
                data = file.path.read_bytes()
                for at in range(0, len(data), max(1, len(data) // CUTS)):
                    spoilt = data[:at] + bytes([data[at] ^ 0x15]) + data[at + 1 :]
                    with _replaced(files, k, spoilt) as changed:
                        said = self._refusal(changed)
                    assert said is None or said.strip()

    def test_a_file_of_too_many_bytes_is_refused_unread(self) -> None:
        with self.run_files() as files:
            for k, file in enumerate(files):
                huge = dataclasses.replace(file, size=MAX_FILE_BYTES + 1)
                said = self._refusal([*files[:k], huge, *files[k + 1 :]])
                assert said is not None
                assert "expected at most" in said

    def test_empty_files_are_refused(self) -> None:
        with self.run_files() as files:
            for k, _ in enumerate(files):
                with _replaced(files, k, b"") as changed:
                    assert self._refusal(changed) is not None, f"{files[k].name} was read empty"

    def _refusal(self, files: Sequence[ResultFile]) -> str | None:
        """What the reader says of files that it refuses; None where it reads them."""
        try:
            self.read(files)
        except JokboError as error:
            return str(error)
        return None


def _cuts(data: bytes) -> list[int]:
    lines = [k + 1 for k, byte in enumerate(data) if byte == 0x0A][:8]
    return sorted(
        {*range(1, len(data), max(1, len(data) // CUTS)), *lines, *(at - 1 for at in lines), len(data) - 1}
        - {0}
    )


@contextmanager
def _replaced(files: Sequence[ResultFile], k: int, data: bytes) -> Iterator[list[ResultFile]]:
    """The files with other bytes in one of them; the original is left alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / files[k].path.name
        shutil.copyfile(files[k].path, path)
        path.write_bytes(data)
        yield [*files[:k], ResultFile(files[k].name, path, len(data)), *files[k + 1 :]]


def _by_task(results: Sequence[TaskResult]) -> dict[tuple[str, str | None], tuple[object, ...]]:
    """Results without what names their files, comparable."""
    return {(each.task, each.filter): _plain(each) for each in results}


def _plain(result: TaskResult) -> tuple[object, ...]:
    rows = None if result.rows is None else _rows(result.rows)
    notes = sorted((note.code, repr(sorted(note.values.items()))) for note in result.notes)
    return (result.model, dict(result.settings), rows, result.published, notes, result.subtasks, result.named)


def _rows(rows: ItemRows) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {
        "id": list(rows.ids),
        "digest": list(rows.digests),
        "repeat": rows.repeats.tolist(),
    }
    columns |= {f"score {name}": values.tolist() for name, values in rows.scores.items()}
    return columns | {f"field {name}": list(texts) for name, texts in rows.fields.items()}


def _starts(found: tuple[object, ...], whole: tuple[object, ...]) -> bool:
    """Whether the rows that were read are the first of the whole run's, value by value."""
    some, every = found[2], whole[2]
    if not isinstance(some, dict) or not isinstance(every, dict):
        return some is None
    return all(values == every[name][: len(values)] for name, values in some.items())
