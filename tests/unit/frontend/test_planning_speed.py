import time

import pytest

from support.dockerfiles import plan_of, steps

LIMIT_S = 0.5
STAGE = """
FROM {base} AS s{number}
ARG A=1
ENV PATH=/opt/{number}:$PATH X{number}=${{A:-2}}
WORKDIR /w/{number}
COPY --from=s{earlier} /a/{number} b$A /x/
RUN echo "$A" && make \\
   -j{number}
LABEL a="b $A" c=d
CMD ["a", "b"]
"""


@pytest.mark.slow
def test_a_dockerfile_of_5000_lines_and_500_stages_is_planned_in_half_a_second():
    text = "FROM base AS s-1\n" + "".join(
        STAGE.format(
            number=number,
            base="base" if number % 5 == 0 else f"s{number - 1}",
            earlier=max(number - 7, -1),
        )
        for number in range(500)
    )
    assert text.count("\n") >= 5000
    times = []
    for _ in range(3):
        start = time.process_time()
        planned = plan_of(text)
        times.append(time.process_time() - start)
    assert len(steps(planned)) > 1000
    assert min(times) <= LIMIT_S
