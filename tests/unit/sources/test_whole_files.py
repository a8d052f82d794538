"""A file is whole or not there, and what is no file is never replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jokbo.sources.whole_files import whole_file, write_whole


def test_what_was_there_stays_until_the_new_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "x"
    place.write_bytes(b"old")
    with whole_file(place) as file:
        file.write(b"new")
        assert place.read_bytes() == b"old"
    assert (place.read_bytes(), os.listdir(tmp_path)) == (b"new", ["x"])


@pytest.mark.parametrize("error", [OSError("no room"), KeyboardInterrupt(), ValueError("other")])
def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path: Path, error: BaseException) -> None:
    place = tmp_path / "x"
    place.write_bytes(b"old")

    def fail() -> None:
        with whole_file(place) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert (place.read_bytes(), os.listdir(tmp_path)) == (b"old", ["x"])


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, b"through")
        assert (os.read(reader, 20), pipe.is_fifo()) == (b"through", True)
    finally:
        os.close(reader)


def test_of_a_link_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "far" / "x")
    write_whole(link, b"new")
    assert (link.is_symlink(), (tmp_path / "far" / "x").read_bytes()) == (True, b"new")


def test_a_name_of_the_greatest_length_is_one(tmp_path: Path) -> None:
    write_whole(tmp_path / ("x" * 255), b"new")
    assert os.listdir(tmp_path) == ["x" * 255]
