"""Cache keys that must not move unnoticed: with them, all that a cache holds is lost.

To renew the file after a change that is meant, run the test with RENEW_GOLDEN=1, and raise
KEY_VERSION where an operation of the same words means something else now.
"""

import json
import os
from pathlib import Path

from builder.solver.solve import solve
from support.dockerfiles import plan_of
from support.graphs import FakeIndex, FakeWorker, solving

GOLDEN = Path(__file__).parent / "data" / "cache_keys.json"
TEXT = """
FROM base AS build
ENV A=x
WORKDIR /src
COPY --chown=1:2 --chmod=0644 --exclude=*.md . ./
RUN --mount=type=cache,target=/c --mount=type=secret,id=tok make
FROM base
COPY --from=build --link /src/out /
COPY <<EOF /f
$A
EOF
USER 5
RUN --network=none ["true"]
"""


def recorded():
    """The keys of each kind, in the order in which the steps were done."""
    index, worker = FakeIndex(), FakeWorker()
    with solving(worker, index) as tools:
        solve(plan_of(TEXT).graph, tools)
    assert len(worker.ran) == 6
    return {
        kind: [record.key for record in index.records.values() if record.kind == kind]
        for kind in ("definition", "content")
    }


def test_cache_keys_stay_what_they_are():
    keys = {kind: sorted(of_kind) for kind, of_kind in recorded().items()}
    if os.environ.get("RENEW_GOLDEN"):
        GOLDEN.write_text(json.dumps(keys, indent=1) + "\n")
    assert keys == json.loads(GOLDEN.read_text())


def test_each_step_has_a_key_of_its_own_of_each_kind():
    keys = [key for of_kind in recorded().values() for key in of_kind]
    assert len(keys) == len(set(keys)) == 12
