"""Names of steps that must not move unnoticed: with them, all that a cache holds is lost.

To renew the file after a change that is meant, run the test with RENEW_GOLDEN=1.
"""

import json
import os
from pathlib import Path

from support.dockerfiles import plan_of, steps

GOLDEN = Path(__file__).parent / "data" / "graph_codec.json"
TEXT = """
ARG V=1
FROM base AS build
ARG V
ENV A=x
WORKDIR /src
COPY --chown=1:2 --chmod=0644 --exclude=*.md . ./
RUN --mount=type=cache,target=/c --mount=type=secret,id=tok --mount=type=tmpfs,target=/t make $V
ADD --checksum=sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 https://x /d/
ADD https://x/y.git#v1:sub /repo/
FROM scratch
COPY --from=build --link --parents /src/./out /
COPY <<EOF /f
$A
EOF
"""


def test_steps_keep_their_names():
    names = {vertex.name: vertex.id for vertex in steps(plan_of(TEXT, epoch=5))}
    if os.environ.get("RENEW_GOLDEN"):
        GOLDEN.write_text(json.dumps(names, indent=1) + "\n")
    assert names == json.loads(GOLDEN.read_text())
