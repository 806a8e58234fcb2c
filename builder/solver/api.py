"""What the solver needs of the outside: a worker that does steps and knows their inputs."""

from __future__ import annotations

from typing import Protocol

from builder.graph.model import Vertex
from cache.descriptor import ChainId, chain_id, chain_ids
from cache.digest import Digest
from cache.record import record


@record
class Result:
    """What a step gave.

    A root filesystem: its whole stack, base first; the step's own layer, if it makes one, is the
    last. A context, a download or a checkout is no stack: `source` names its content, by digest
    (of a whole download or checkout) or, for a directory of the user's, by its name.
    """

    diff_ids: tuple[Digest, ...] = ()
    source: str = ""

    @property
    def chain(self) -> ChainId:
        """The name of the stack; EMPTY_CHAIN for none."""
        return chain_id(self.diff_ids)

    @property
    def chains(self) -> tuple[ChainId, ...]:
        """The names of the stack's prefixes, base first."""
        return chain_ids(self.diff_ids)


class Worker(Protocol):
    """Does one step at a time, on any machine; safe from several threads."""

    def file_digest(self, vertex: Vertex, inputs: tuple[Result | None, ...]) -> Digest | None:
        """A digest of the files that `vertex` takes from its inputs other than the first.

        Covers just what ends up in the result: names below the source, type, mode, owner, data,
        link targets, xattrs; no mtimes. `inputs` holds None for a result that isn't known yet:
        where such an input matters, the answer is None. Errors about missing files are raised
        here, as StepFailedError with the vertex's span.
        """
        ...

    def run(self, vertex: Vertex, inputs: tuple[Result, ...]) -> Result:
        """Do the step, keep its layer in the store, and say what it gave.

        Emits StepOutput and StepProgress. StepFailedError (ProcessFailedError for a RUN) where it
        can't be done; nothing is left behind then.
        """
        ...

    def has(self, result: Result) -> bool:
        """Whether all of the result's layers are in the store; if so, they stay for this build."""
        ...

    def restack(self, base: Result, diff_id: Digest) -> Result | None:
        """Put a layer that is in the store on another base; None where it isn't there."""
        ...

    def cancel(self) -> None:
        """End all running steps soon; their `run` raises. For an interrupted or failed build."""
        ...
