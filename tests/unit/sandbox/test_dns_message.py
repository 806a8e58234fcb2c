"""Questions and answers of the domain name system as bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.sandbox.monitor import dnsmessage
from builder.sandbox.monitor.dnsmessage import AAAA, PTR, A, Question, names_of
from support.dnsqueries import query

NAMES = names_of(b"10.0.0.2 web 0123456789ab www\nfd00::2 web\n10.0.0.3 Db\n\nnonsense x\n")
LABELS = st.lists(
    st.binary(min_size=1, max_size=20).filter(lambda label: b"." not in label), max_size=8
)


def asked(name: str, kind: int = A) -> Question:
    question = dnsmessage.question_of(query(name, kind))
    assert question is not None
    return question


def records(message: bytes | None, question: Question) -> list[bytes]:
    """The data of an answer's records."""
    assert message is not None
    number, flags, questions, count = struct.unpack_from("!4H", message)
    assert (number, flags & 0x8000, questions) == (7, 0x8000, 1)
    place = 12 + len(question.data)
    assert message[12:place] == question.data
    found: list[bytes] = []
    for _ in range(count):
        pointer, kind, _, _, length = struct.unpack_from("!HHHIH", message, place)
        assert (pointer, kind) == (0xC00C, question.kind)
        found.append(message[place + 12 : place + 12 + length])
        place += 12 + length
    assert place == len(message)
    return found


@given(LABELS, st.integers(0, 65535))
def test_a_question_is_read_as_it_was_asked(labels, kind):
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    message = struct.pack("!6H", 9, 0, 1, 0, 0, 0) + encoded + struct.pack("!HH", kind, 1)
    question = dnsmessage.question_of(message)
    assert question is not None
    assert question.name == b".".join(labels).decode("latin-1").lower()
    assert (question.number, question.kind, question.data) == (9, kind, message[12:])


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_question_or_none(message):
    question = dnsmessage.question_of(message)
    if question is None:
        refusal = dnsmessage.refusal(message)
        assert refusal is None or len(refusal) == 12
    else:
        assert question.data in message
        dnsmessage.local_answer(question, NAMES)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        query("web")[:-1],
        query("web", flags=0x8000),
        query("web", flags=0x2800),
        struct.pack("!6H", 1, 0, 2, 0, 0, 0) + query("web")[12:],
        struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",
        struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\x3fa" * 200,
    ],
)
def test_what_is_no_question_is_seen(message: bytes):
    assert dnsmessage.question_of(message) is None


def test_an_answer_is_never_answered():
    assert dnsmessage.refusal(query("web", flags=0x8000)) is None


def test_a_container_is_found_by_each_of_its_names_in_any_case():
    for name in ("web", "WEB", "www", "0123456789ab"):
        question = asked(name)
        assert records(dnsmessage.local_answer(question, NAMES), question) == [bytes([10, 0, 0, 2])]
    question = asked("db")
    assert records(dnsmessage.local_answer(question, NAMES), question) == [bytes([10, 0, 0, 3])]


def test_an_address_of_ipv6_is_found_and_one_that_is_not_there_is_not_asked_of_others():
    question = asked("web", AAAA)
    assert records(dnsmessage.local_answer(question, NAMES), question) == [
        bytes([0xFD]) + bytes(14) + b"\2"
    ]
    question = asked("db", AAAA)
    assert records(dnsmessage.local_answer(question, NAMES), question) == []


def test_other_names_are_asked_of_others():
    for name in ("example.org", "", "web.example.org"):
        assert dnsmessage.local_answer(asked(name), NAMES) is None


def test_an_address_leads_back_to_the_name():
    question = asked("2.0.0.10.in-addr.arpa", PTR)
    assert records(dnsmessage.local_answer(question, NAMES), question) == [b"\3web\0"]
    digits = "2." + "0." * 29 + "d.f.ip6.arpa"
    question = asked(digits, PTR)
    assert records(dnsmessage.local_answer(question, NAMES), question) == [b"\3web\0"]
    for name in ("9.0.0.10.in-addr.arpa", "300.0.0.10.in-addr.arpa", "x.in-addr.arpa", "web"):
        assert dnsmessage.local_answer(asked(name, PTR), NAMES) is None


def test_an_answer_is_one_to_the_same_question_under_the_same_number():
    question = asked("Example.org")
    good = dnsmessage.with_number(dnsmessage.failure(question), 77)
    assert dnsmessage.answers(good, question, 77)
    assert not dnsmessage.answers(good, question, 78)
    assert not dnsmessage.answers(query("Example.org", number=77), question, 77)
    other = dnsmessage.with_number(dnsmessage.failure(asked("example.com")), 77)
    assert not dnsmessage.answers(other, question, 77)
    assert not dnsmessage.answers(b"\0\0", question, 0)


def test_a_name_that_no_answer_could_hold_is_no_name():
    assert names_of(b"10.0.0.2 " + b"x" * 64 + b" a..b ok\n") == {"ok": (bytes([10, 0, 0, 2]),)}
