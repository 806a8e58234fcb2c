import copy
import dataclasses
import pickle
from typing import ClassVar

import pytest

from cache.record import field, record, replace


@record
class Point:
    """A record with all that one may have."""

    kind: ClassVar[str] = "point"

    x: int
    y: int = 0
    tags: tuple[str, ...] = field(default_factory=tuple)
    note: str = field(default="", compare=False)

    @property
    def far(self) -> bool:
        return self.x > 10


@record
class Empty:
    """A record without fields."""


@record
class Other:
    x: int
    y: int = 0
    tags: tuple[str, ...] = ()


def test_values_are_given_by_place_and_by_name():
    assert (Point(1, 2).x, Point(1, y=2).y, Point(x=1).tags, Point(1).kind) == (1, 2, (), "point")
    assert Point(11).far


@pytest.mark.parametrize("wrong", [{}, {"x": 1, "z": 2}])
def test_wrong_names_are_refused(wrong):
    with pytest.raises(TypeError):
        Point(**wrong)


def test_a_record_cannot_be_changed():
    point = Point(1)
    with pytest.raises(AttributeError, match="cannot change field 'x' of a Point"):
        point.x = 2
    with pytest.raises(AttributeError):
        del point.x
    with pytest.raises(AttributeError):
        point.z = 1
    assert not hasattr(point, "__dict__")


def test_equal_records_are_of_one_class_and_have_equal_fields():
    assert Point(1, note="a") == Point(1, note="b")
    assert hash(Point(1, note="a")) == hash(Point(1, note="b"))
    assert Point(1) != Point(2)
    assert Point(1) != Other(1)
    assert Empty() == Empty()
    assert len({Point(1), Point(1), Point(2)}) == 2


def test_a_record_shows_its_fields():
    assert repr(Point(1)) == "Point(x=1, y=0, tags=(), note='')"


def test_a_record_is_matched_by_place():
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_copies_and_pickles_are_equal():
    point = Point(1, 2, ("t",))
    assert copy.copy(point) == copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point


def test_the_functions_of_dataclasses_take_records():
    assert dataclasses.replace(Point(1, 2), y=3) == Point(1, 3)
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 0, "tags": (), "note": ""}
    assert [one.name for one in dataclasses.fields(Point)] == ["x", "y", "tags", "note"]
    assert dataclasses.is_dataclass(Empty())


def test_replace_makes_a_changed_value():
    point = Point(1, 2, ("t",), note="n")
    changed = replace(point, y=3)
    assert (changed.x, changed.y, changed.tags, changed.note) == (1, 3, ("t",), "n")
    assert point.y == 2
    with pytest.raises(TypeError):
        replace(point, z=1)


def test_two_classes_made_alike_differ():
    assert Empty() != Point(1)
