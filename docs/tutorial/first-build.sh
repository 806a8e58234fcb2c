#!/usr/bin/env bash
# A first build, step by step: make demo. Usage: first-build.sh PYBUILD
# Everything it makes lies in one temporary folder, which is removed in the end.
set -euo pipefail

pybuild=$(command -v "$1") || { echo "no executable $1" >&2; exit 1; }
pybuild=$(realpath "$pybuild")
hello=$(cd "$(dirname "$0")/../../fixtures/hello" && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/pybuild-demo-XXXXXX")
export PYBUILD_ROOT=$folder/store

clean() {
  # An ordinary user's layers belong to subordinate ids: only a user namespace may remove them.
  rm -rf "$folder" 2>/dev/null || unshare --user --map-auto --map-root-user rm -rf "$folder"
}
trap clean EXIT

step() { printf '\n\033[1m%s\033[0m\n' "== $*"; }
show() {
  local word line='$ pybuild'
  for word; do
    case $word in
      *[!A-Za-z0-9_=:,./-]*) line+=" '$word'" ;;
      *) line+=" $word" ;;
    esac
  done
  echo "$line"
  "$pybuild" "$@"
}

# Without subordinate ids there is one user in the container, root.
run_as=65534
if [ "$(id -u)" != 0 ] && ! unshare --user --map-auto --map-root-user true 2>/dev/null; then
  run_as=0
  echo "No subordinate ids for $(id -un) (sudo apt-get install uidmap brings them):"
  echo "containers have one user, root, and the demo runs as that."
fi

cp -r "$hello" "$folder/hello"
cd "$folder/hello"

step "A base image out of this machine's own programs"
show bootstrap host-tools

step "Build the Dockerfile"
cat Dockerfile
echo
show build --build-arg "RUN_AS=$run_as" -t hello .

step "Run it"
show run --rm --network none hello

step "Build again: nothing has changed, nothing runs"
show build --build-arg "RUN_AS=$run_as" -t hello .

step "Change one file and build: what depends on it runs, the rest comes from the cache"
echo "you who changed a file" >>names.txt
show build --build-arg "RUN_AS=$run_as" -t hello .
show run --rm --network none hello

step "Change a container and make an image of it"
show run --name changed --network none -u 0 hello /bin/sh -c 'echo "Goodbye." >>/srv/page.txt'
show diff changed
show commit -m "say goodbye" -c "USER $run_as" -c 'CMD cat $PAGE' changed hello:goodbye
show run --rm --network none hello:goodbye
show history hello:goodbye
show images
