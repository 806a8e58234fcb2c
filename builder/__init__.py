"""pybuild: Dockerfile to OCI image to container, without a daemon.

The folders tell the data's way; each imports only from those below it.

cli/        click in, text out
commands/   the use cases: build, run, commit, load, save, images ... without click or print
frontend/   1 text to graph, pure: scan, parse, instructions, expand, stages, lower
graph/      2 the build graph: operations, vertices, their order and digests
solver/     3 what is known, what must run: keys, schedule, solve
worker/     4 does one step: exec, copy, image, context
sandbox/    5 one process over a root filesystem: namespaces, seccomp, capabilities
network/      bridges, addresses, published ports, pasta: what containers have of networks
layer/      6 tree to tar and back: changes, whiteouts, pack, apply, compress
image/      7 OCI images: model, codec, assemble, reference, image store
registry/     distribution client
export/     8 an image to elsewhere: OCI layout, docker archive, tree
runtime/    9 image to bundle to container; commit
kernel/     system calls
engine, wiring, settings, events, errors, location
"""
