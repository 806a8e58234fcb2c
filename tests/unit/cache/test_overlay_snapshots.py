"""What OverlaySnapshotter does beyond the contract: deep stacks, kills, crashes of the machine."""

import os
import subprocess
import sys

import pytest

from cache.database import Database
from cache.descriptor import EMPTY_CHAIN, chain_id
from cache.digest import sha256_digest
from cache.snapshot.overlay import MAX_LOWERDIRS, MERGED_LAYERS, OverlaySnapshotter
from cache.statedir import StateDir


@pytest.fixture
def state(tmp_path):
    state = StateDir(str(tmp_path / "store"))
    yield state
    state.close()


@pytest.fixture
def database(state):
    database = Database(state)
    yield database
    database.close()


@pytest.fixture
def snapshots(state, database):
    return OverlaySnapshotter(state, database, userxattr=True)


def digest_of(name):
    return sha256_digest(name.encode())


def layer(snapshots, parent, name):
    active = snapshots.prepare(parent)
    with open(os.path.join(active.upperdir, name), "w") as file:
        file.write(name)
    return snapshots.commit(active, diff_id=digest_of(name), size_bytes=len(name))


def stack_of(snapshots, depth, *, name="layer"):
    info, infos = None, []
    for number in range(depth):
        info = layer(snapshots, info.chain_id if info else EMPTY_CHAIN, f"{name}{number}")
        infos.append(info)
    return infos


def names(mount):
    return {name for directory in mount.lowerdirs for name in os.listdir(directory)}


def trees(state):
    return {int(name) for name in os.listdir(state.snapshots_dir)} - {0}


@pytest.mark.parametrize("depth", [1, MERGED_LAYERS, MAX_LOWERDIRS])
def test_a_stack_that_is_not_deep_is_mounted_as_it_is(snapshots, depth):
    infos = stack_of(snapshots, depth)
    view = snapshots.view(infos[-1].chain_id)
    assert view.lowerdirs[:depth] == tuple(info.diff_dir for info in reversed(infos))


def test_a_lone_layer_is_viewed_as_an_overlay_so_that_its_deletions_do_not_show(snapshots):
    info = layer(snapshots, EMPTY_CHAIN, "a")
    above, empty = snapshots.view(info.chain_id).lowerdirs
    assert above == info.diff_dir
    assert os.listdir(empty) == []


@pytest.mark.parametrize("depth", [MAX_LOWERDIRS + 1, 2 * MERGED_LAYERS, 127])
def test_a_deep_stack_is_mounted_over_few_directories_that_show_the_same(snapshots, depth):
    infos = stack_of(snapshots, depth)
    view = snapshots.view(infos[-1].chain_id)
    assert len(view.lowerdirs) == depth // MERGED_LAYERS + depth % MERGED_LAYERS <= MAX_LOWERDIRS
    assert names(view) == {f"layer{number}" for number in range(depth)}
    assert snapshots.prepare(infos[-1].chain_id).mount.lowerdirs == view.lowerdirs


def test_a_tree_that_is_twice_in_a_stack_is_named_once(snapshots):
    infos = [layer(snapshots, EMPTY_CHAIN, "a")]
    for name in ("b", "a"):
        infos.append(layer(snapshots, infos[-1].chain_id, name))
    assert infos[2].diff_dir == infos[0].diff_dir
    view = snapshots.view(infos[2].chain_id)
    assert view.lowerdirs == (infos[2].diff_dir, infos[1].diff_dir)


def test_merged_trees_are_made_once(snapshots, state):
    top = stack_of(snapshots, 40)[-1]
    first = snapshots.view(top.chain_id)
    before = trees(state)
    assert snapshots.view(top.chain_id) == first
    assert trees(state) == before
    above = layer(snapshots, top.chain_id, "above")
    assert set(snapshots.view(above.chain_id).lowerdirs) > set(first.lowerdirs)


def test_merged_trees_go_when_no_stack_is_deep_any_more(snapshots, state):
    infos = stack_of(snapshots, MAX_LOWERDIRS + 1)
    snapshots.view(infos[-1].chain_id)
    assert len(trees(state)) == len(infos) + 1
    snapshots.sweep()
    assert len(trees(state)) == len(infos) + 1
    snapshots.remove(infos[-1].chain_id)
    snapshots.sweep()
    assert len(trees(state)) == len(infos) - 1


def test_a_merged_tree_goes_with_its_uppermost_layer(snapshots, state):
    infos = stack_of(snapshots, 32)
    snapshots.view(infos[-1].chain_id)
    snapshots.remove(infos[-1].chain_id)
    assert len(trees(state)) == 31 + 1


def test_merged_trees_of_an_earlier_boot_are_made_anew(snapshots, state, database):
    top = stack_of(snapshots, 32)[-1]
    before = set(snapshots.view(top.chain_id).lowerdirs)
    later = OverlaySnapshotter(state, database, userxattr=True, boot_id="another")
    after = set(later.view(top.chain_id).lowerdirs)
    assert before.isdisjoint(after)
    assert not any(os.path.exists(directory) for directory in before)
    assert len(trees(state)) == 32 + 2


def killed_at(state, function_name, code):
    """Runs `code` in another process that dies by SIGKILL when it calls that function of os."""
    program = (
        "import os, signal, sys\n"
        "from cache.statedir import StateDir\n"
        "from cache.database import Database\n"
        "from cache.descriptor import EMPTY_CHAIN\n"
        "from cache.digest import sha256_digest\n"
        "from cache.snapshot import overlay\n"
        f"state = StateDir({state.root_dir!r})\n"
        "snapshots = overlay.OverlaySnapshotter(state, Database(state), userxattr=True)\n"
        "active = snapshots.prepare(EMPTY_CHAIN)\n"
        "open(active.upperdir + '/killed', 'w').close()\n"
        "def die(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{function_name} = die\n"
        f"{code}\n"
        "sys.exit('not killed')\n"
    )
    status = subprocess.run([sys.executable, "-c", program], check=False).returncode
    assert status == -9


COMMIT = "snapshots.commit(active, diff_id=sha256_digest(b'killed'), size_bytes=1)"


@pytest.mark.parametrize("instant", ["os.rename", "overlay.rows.add", "snapshots.discard"])
def test_a_process_killed_in_a_commit_leaves_a_store_that_works(snapshots, state, instant):
    kept = layer(snapshots, EMPTY_CHAIN, "kept")
    killed_at(state, instant, COMMIT)
    state.sweep()
    done = instant == "snapshots.discard"
    assert (snapshots.info(chain_id([digest_of("killed")])) is not None) == done
    again = layer(snapshots, EMPTY_CHAIN, "killed")
    assert os.listdir(again.diff_dir) == ["killed"]
    assert os.listdir(kept.diff_dir) == ["kept"]
    snapshots.sweep()
    assert len(trees(state)) == 2


def test_a_tree_without_a_row_is_swept(snapshots, state):
    kept = layer(snapshots, EMPTY_CHAIN, "kept")
    killed_at(state, "overlay.rows.add", COMMIT)
    assert len(trees(state)) == 2
    snapshots.sweep()
    assert trees(state) == {int(os.path.basename(os.path.dirname(kept.diff_dir)))}
    assert os.listdir(state.empty_dir) == []


def test_a_process_killed_while_it_removes_leaves_no_tree_after_a_sweep(snapshots, state):
    code = f"info = {COMMIT}\nos.rename = die\nsnapshots.remove(info.chain_id)"
    killed_at(state, "os.nothing", code)
    assert len(trees(state)) == 1
    snapshots.sweep()
    assert trees(state) == set()


class Verifier:
    """Says what a tree's diff_id is by the names in it, and notes which were asked about."""

    def __init__(self):
        self.asked = []

    def __call__(self, directory):
        (name,) = os.listdir(directory)
        self.asked.append(name)
        return digest_of(name)


@pytest.fixture
def after_a_crash(state, database):
    """A snapshotter in the next boot, and its verifier."""

    def make():
        verifier = Verifier()
        return OverlaySnapshotter(
            state, database, userxattr=True, verify=verifier, boot_id="next"
        ), verifier

    return make


def damage(info):
    (name,) = os.listdir(info.diff_dir)
    os.rename(f"{info.diff_dir}/{name}", f"{info.diff_dir}/damaged")


def age(database, seconds, info):
    with database.transaction() as connection:
        connection.execute(
            "UPDATE trees SET written_at = written_at - ? WHERE tree ="
            " (SELECT tree FROM snapshots WHERE chain_id = ?)",
            (seconds, info.chain_id),
        )


def test_a_whole_snapshot_is_checked_once_after_a_crash(snapshots, after_a_crash):
    info = layer(snapshots, EMPTY_CHAIN, "a")
    later, verifier = after_a_crash()
    assert later.info(info.chain_id) == info
    later.view(info.chain_id)
    assert verifier.asked == ["a"]
    again, verifier = after_a_crash()
    assert again.info(info.chain_id) == info
    assert verifier.asked == []


def test_a_snapshot_of_this_boot_is_not_checked(state, database, snapshots):
    info = layer(snapshots, EMPTY_CHAIN, "a")
    verifier = Verifier()
    now = OverlaySnapshotter(state, database, userxattr=True, verify=verifier)
    assert now.info(info.chain_id) == info
    assert verifier.asked == []


def test_a_damaged_snapshot_is_dropped_with_all_that_stands_on_it(snapshots, state, after_a_crash):
    base, middle, top = stack_of(snapshots, 3)
    damage(middle)
    later, _ = after_a_crash()
    assert later.info(top.chain_id) is None
    assert later.info(middle.chain_id) is None
    assert later.info(base.chain_id) == base
    assert len(trees(state)) == 1


def test_what_was_written_long_before_the_crash_is_not_checked(snapshots, database, after_a_crash):
    old = layer(snapshots, EMPTY_CHAIN, "old")
    age(database, 3600, old)
    new = layer(snapshots, old.chain_id, "new")
    later, verifier = after_a_crash()
    assert later.info(new.chain_id) == new
    assert verifier.asked == ["new"]


def test_a_damaged_snapshot_is_not_shared_with_a_new_one(snapshots, after_a_crash):
    base = layer(snapshots, EMPTY_CHAIN, "base")
    damaged = layer(snapshots, base.chain_id, "x")
    damage(damaged)
    later, _ = after_a_crash()
    assert later.stack(EMPTY_CHAIN, damaged.diff_id) is None
    new = layer(later, EMPTY_CHAIN, "x")
    assert os.listdir(new.diff_dir) == ["x"]
    assert later.stack(base.chain_id, new.diff_id).diff_dir == new.diff_dir


def test_a_commit_replaces_a_damaged_snapshot_of_the_same_chain(snapshots, after_a_crash):
    damage(layer(snapshots, EMPTY_CHAIN, "x"))
    later, _ = after_a_crash()
    assert os.listdir(layer(later, EMPTY_CHAIN, "x").diff_dir) == ["x"]


def test_a_tree_that_cannot_be_packed_counts_as_damaged(snapshots, state, database):
    info = layer(snapshots, EMPTY_CHAIN, "x")

    def fail(_):
        raise OSError(5, "Input/output error")

    later = OverlaySnapshotter(state, database, userxattr=True, verify=fail, boot_id="next")
    assert later.info(info.chain_id) is None


def test_use_is_noted(snapshots, database):
    info = layer(snapshots, EMPTY_CHAIN, "x")
    with database.transaction() as connection:
        connection.execute("UPDATE snapshots SET last_used = 1")
    snapshots.view(info.chain_id)
    row = database.connection().execute("SELECT last_used FROM snapshots").fetchone()
    assert row[0] > 1_000_000
