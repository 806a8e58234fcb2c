"""Names of containers: what a name may be, and the ones given to containers without one."""

from __future__ import annotations

from collections.abc import Iterator

from builder.runtime.errors import InvalidContainerNameError

_LIMIT = 255
_LETTERS_DIGITS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_ALLOWED = _LETTERS_DIGITS | frozenset("_.-")

_ADJECTIVES = (
    "agile amber ample artful autumn azure balmy blithe bold brave breezy bright brisk calm candid "
    "careful cheery civil clear clever cosmic cosy crimson curious dapper daring deft eager early "
    "earnest elated fabled fair fearless fleet fluent fond frank fresh gentle glad golden graceful "
    "grand hardy hearty honest humble ivory jaunty jolly keen kind lively loyal lucid lucky mellow "
    "merry mild modest neat nimble noble patient placid plucky polite proud quick quiet radiant "
    "ready robust rosy savvy serene sharp silver sincere sleek snug spirited spry steady sturdy "
    "sunny tidy tranquil trusty upbeat valiant vivid warm witty zesty"
)

_SURNAMES = (
    "abel agnesi allen ampere archimedes avogadro babbage backus banach barton bell bernoulli "
    "bohr boole borg brahe braun carson cauchy cerf chandra church codd conway copernicus cray "
    "curie dahl daguerre darwin dijkstra dirac easley edison einstein engelbart erdos euclid "
    "euler faraday fermat fermi feynman floyd franklin galileo galois gauss germain goedel "
    "goldberg hamilton hamming hawking hertz hilbert hoare hopper hubble huygens hypatia "
    "iverson jacobi jemison joliot joule kay kepler khorana kilby knuth kovalevskaya lamarr "
    "lamport laplace leavitt leibniz lovelace maxwell mayer mccarthy meitner mendel milner "
    "minsky mirzakhani morse naur nash newell newton nobel noether ohm pascal pasteur pauling "
    "perlman planck ptolemy raman ramanujan rhodes riemann ride ritchie rubin sagan shannon "
    "sinoussi stonebraker tesla thompson turing volta wiles wing wirth "
    "wozniak wu yalow yonath"
)


def checked_name(text: str) -> str:
    """`text` if a container may be called so; InvalidContainerNameError for anything else."""
    first_is_right = text[:1] in _LETTERS_DIGITS
    if not first_is_right or not _ALLOWED.issuperset(text) or len(text) > _LIMIT:
        raise InvalidContainerNameError(
            f"{text[:300]!a} is not a container name",
            hint="a name has letters, digits, _ . and -, and begins with a letter or a digit",
        )
    return text


def candidate_names(container_id: str) -> Iterator[str]:
    """Names for a container that was given none, in the order to try them; they never end.

    The id, being random, decides: no other source of chance is needed.
    """
    seed = int(container_id[:16], 16)
    adjectives, surnames = _ADJECTIVES.split(), _SURNAMES.split()
    pairs = len(adjectives) * len(surnames)
    for attempt in range(pairs):
        adjective, surname = divmod((seed + attempt) % pairs, len(surnames))
        yield f"{adjectives[adjective]}_{surnames[surname]}"
    number = 0
    while True:
        number += 1
        yield f"container_{number}"
