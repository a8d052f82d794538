"""Laws of the request planner."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from jokbo.sources.base import ByteRange, Read
from jokbo.sources.plan import cut_answers, merge_reads
from jokbo.sources.remote import MAX_REQUEST_BYTES, _split

DATA = bytes(range(256)) * 4


@st.composite
def wishes(draw):
    start = draw(st.integers(0, len(DATA)))
    return Read(draw(st.sampled_from("ab")), ByteRange(start, draw(st.integers(start, len(DATA)))))


plans = {
    "reads": st.lists(wishes(), max_size=30),
    "gap": st.integers(0, 200),
    "limit": st.integers(1, 1200),
}


def _plan(reads, gap, limit):
    return merge_reads(reads, max_gap_bytes=gap, max_request_bytes=limit)


@given(**plans)
def test_every_wish_is_answered_with_its_bytes(reads, gap, limit):
    requests = _plan(reads, gap, limit)
    answers = [DATA[slice(*request.range)] for request in requests]
    assert cut_answers(reads, requests, answers) == [DATA[slice(*read.range)] for read in reads]


@given(**plans)
def test_every_wish_belongs_to_one_request_of_its_file(reads, gap, limit):
    requests = _plan(reads, gap, limit)
    assert sorted(i for request in requests for i in request.members) == list(range(len(reads)))
    for request in requests:
        for i in request.members:
            assert reads[i].file == request.file
            assert request.range.start <= reads[i].range.start <= reads[i].range.stop <= request.range.stop


@given(**plans)
def test_a_merged_request_keeps_the_limit(reads, gap, limit):
    for request in _plan(reads, gap, limit):
        longest = max(reads[i].range.size for i in request.members)
        assert request.range.size <= max(limit, longest)


@given(**plans)
def test_nothing_is_read_beyond_the_gaps(reads, gap, limit):
    for request in _plan(reads, gap, limit):
        position = request.range.start
        for i in sorted(request.members, key=lambda i: reads[i].range.start):
            assert reads[i].range.start - position <= gap
            position = max(position, reads[i].range.stop)
        assert position == request.range.stop


@given(**plans, order=st.randoms(use_true_random=False))
def test_the_order_of_wishes_does_not_change_the_requests(reads, gap, limit, order):
    shuffled = list(reads)
    order.shuffle(shuffled)
    ranges = [(request.file, request.range) for request in _plan(reads, gap, limit)]
    assert [(request.file, request.range) for request in _plan(shuffled, gap, limit)] == ranges


@given(start=st.integers(0, 1 << 40), size=st.integers(0, 10 * MAX_REQUEST_BYTES))
def test_a_long_range_is_split_without_a_gap(start, size):
    pieces = _split(ByteRange(start, start + size))
    assert pieces[0].start == start
    assert pieces[-1].stop == start + size
    assert all(piece.size <= MAX_REQUEST_BYTES for piece in pieces)
    assert all(before.stop == after.start for before, after in itertools.pairwise(pieces))
