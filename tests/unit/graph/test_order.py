from builder.graph.model import ContextOp, Graph, Vertex, VertexId
from builder.graph.order import pruned, topological, users


def vertices(**inputs):
    """Vertices by name, each with the names of its inputs."""
    return {
        VertexId(name): Vertex(
            VertexId(name), ContextOp(name), tuple(VertexId(n) for n in needed.split()), name
        )
        for name, needed in inputs.items()
    }


def test_inputs_come_before_their_users():
    graph = Graph(vertices(d="b c", b="a", c="a", a=""), VertexId("d"))
    assert topological(graph) == ("a", "b", "c", "d")


def test_what_the_target_does_not_need_is_left_out():
    graph = pruned(vertices(a="", b="a", c="a"), VertexId("b"))
    assert list(graph.vertices) == ["a", "b"]
    assert graph.target == "b"


def test_users_are_found_once_each():
    found = users(Graph(vertices(a="", b="a a", c="a b"), VertexId("c")))
    assert found == {"a": ("b", "c"), "b": ("c",), "c": ()}


def test_a_chain_may_be_longer_than_the_stack():
    names = [f"v{number}" for number in range(20_000)]
    chain = dict(zip(names, ["", *names], strict=False))
    assert len(topological(Graph(vertices(**chain), VertexId(names[-1])))) == 20_000
