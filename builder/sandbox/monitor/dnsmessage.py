"""Questions and answers of the domain name system, as bytes. Pure. Spec: RFC 1035, 4."""

from __future__ import annotations

import _socket
import struct

HEADER_BYTES = 12
A, PTR, AAAA = 1, 12, 28
_IN, _ANY_CLASS = 1, 255
_RESPONSE, _RECURSION_DESIRED, _RECURSION_AVAILABLE, _AUTHORITATIVE = 0x8000, 0x0100, 0x80, 0x0400
_OPCODES = 0x7800
_FORMAT_ERROR, _SERVER_FAILURE, _NOT_IMPLEMENTED = 1, 2, 4
_TTL_S = 1  # an address may be another container's soon
_MOST_NAME_BYTES = 255
_MOST_LABEL_BYTES = 63
_POINTS_TO_QUESTION = 0xC000 | HEADER_BYTES

Names = dict[str, tuple[bytes, ...]]
"""Packed addresses by name, in lower case."""


class Question:
    """What a query asks."""

    __slots__ = ("data", "flags", "kind", "name", "number")

    def __init__(self, number: int, flags: int, name: str, kind: int, data: bytes) -> None:
        self.number = number  # by which the asker knows the answer
        self.flags = flags
        self.name = name  # in lower case, without the last dot
        self.kind = kind
        self.data = data  # as it stands in the message


def question_of(message: bytes) -> Question | None:
    """The question of a query; None for what is none that we answer or pass on."""
    if len(message) < HEADER_BYTES:
        return None
    number, flags, count = struct.unpack_from("!HHH", message)
    if flags & (_RESPONSE | _OPCODES) or count != 1:
        return None
    labels = _labels(message)
    if labels is None:
        return None
    end = HEADER_BYTES + sum(1 + len(label) for label in labels) + 1
    if end + 4 > len(message):
        return None
    kind, address_class = struct.unpack_from("!HH", message, end)
    if address_class not in {_IN, _ANY_CLASS}:
        return None
    name = b".".join(labels).decode("latin-1").lower()
    return Question(number, flags, name, kind, message[HEADER_BYTES : end + 4])


def _labels(message: bytes) -> list[bytes] | None:
    """The parts of the name that the question begins with; None where that is none."""
    labels: list[bytes] = []
    place = HEADER_BYTES
    while place < len(message) and place - HEADER_BYTES < _MOST_NAME_BYTES:
        length = message[place]
        place += 1
        if length == 0:
            return labels
        if length > _MOST_LABEL_BYTES or place + length > len(message):
            return None  # a pointer in a question has nothing to point to
        labels.append(message[place : place + length])
        place += length
    return None


def local_answer(question: Question, names: Names) -> bytes | None:
    """The answer, where it is about a container; None where others have to be asked.

    A name that is known and has no address of the kind that is asked for has an empty answer.
    """
    if question.kind == PTR:
        return _reverse_answer(question, names)
    addresses = names.get(question.name)
    if addresses is None:
        return None
    size = {A: 4, AAAA: 16}.get(question.kind, 0)
    return _answer(question, [each for each in addresses if len(each) == size])


def _reverse_answer(question: Question, names: Names) -> bytes | None:
    address = reverse_address(question.name)
    if address is None:
        return None
    for name, addresses in names.items():  # the first is the container's own name
        if address in addresses:
            return _answer(question, [_encoded_name(name)])
    return None


def reverse_address(name: str) -> bytes | None:
    """The address that a name like `2.0.17.172.in-addr.arpa` stands for; None for other names."""
    if name.endswith(".in-addr.arpa"):
        parts = name.split(".")[:-2]
        if len(parts) != 4 or not all(part.isdigit() and len(part) < 4 for part in parts):
            return None
        numbers = [int(part) for part in reversed(parts)]
        return bytes(numbers) if max(numbers) < 256 else None
    if name.endswith(".ip6.arpa"):
        digits = "".join(reversed(name.split(".")[:-2]))
        if len(digits) != 32 or len(name) != 72 or not set("0123456789abcdef").issuperset(digits):
            return None
        return bytes.fromhex(digits)
    return None


def _encoded_name(name: str) -> bytes:
    labels = (label.encode("latin-1") for label in name.split("."))
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _answer(question: Question, records: list[bytes]) -> bytes:
    flags = _RESPONSE | _AUTHORITATIVE | _RECURSION_AVAILABLE
    flags |= question.flags & _RECURSION_DESIRED
    head = struct.pack("!6H", question.number, flags, 1, len(records), 0, 0)
    body = b"".join(
        struct.pack("!HHHIH", _POINTS_TO_QUESTION, question.kind, _IN, _TTL_S, len(record)) + record
        for record in records
    )
    return head + question.data + body


def failure(question: Question) -> bytes:
    """The answer where nobody could be asked."""
    flags = _RESPONSE | _RECURSION_AVAILABLE | _SERVER_FAILURE
    flags |= question.flags & _RECURSION_DESIRED
    return struct.pack("!6H", question.number, flags, 1, 0, 0, 0) + question.data


def refusal(message: bytes) -> bytes | None:
    """The answer to what is no question; None for what had better not be answered."""
    if len(message) < HEADER_BYTES:
        return None
    number, flags = struct.unpack_from("!HH", message)
    if flags & _RESPONSE:
        return None  # two servers could go on answering one another
    error = _NOT_IMPLEMENTED if flags & _OPCODES else _FORMAT_ERROR
    return struct.pack("!6H", number, _RESPONSE | flags & _OPCODES | error, 0, 0, 0, 0)


def with_number(message: bytes, number: int) -> bytes:
    """The message under another number."""
    return struct.pack("!H", number) + message[2:]


def answers(message: bytes, question: Question, number: int) -> bool:
    """Whether the message is an answer to what was asked under that number."""
    if len(message) < HEADER_BYTES:
        return False
    got, flags = struct.unpack_from("!HH", message)
    if got != number or not flags & _RESPONSE:
        return False
    end = HEADER_BYTES + len(question.data)
    return message[HEADER_BYTES:end].lower() == question.data.lower()


def names_of(text: bytes) -> Names:
    """The names in a file of the form of /etc/hosts."""
    names: Names = {}
    for line in text.decode("latin-1").splitlines():
        address_text, *aliases = line.split() or [""]
        address = packed(address_text)
        if address is None:
            continue
        for name in map(str.lower, aliases):
            if all(0 < len(label) <= _MOST_LABEL_BYTES for label in name.split(".")):
                names[name] = (*names.get(name, ()), address)
    return names


def packed(text: str) -> bytes | None:
    """The bytes of an IPv4 or IPv6 address; None for other text."""
    try:
        return _socket.inet_pton(_socket.AF_INET6 if ":" in text else _socket.AF_INET, text)
    except OSError:
        return None
