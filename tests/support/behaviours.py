"""What is looked at in a container, under pybuild and under podman alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Behaviour:
    """A shell script to run with some options; those with the same options share a container."""

    name: str
    script: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """The whole command line after `run --rm --network none`, judged by its output and status."""

    name: str
    words: tuple[str, ...]
    stdin: str | None = None
    terminal: bool = False


def _mount(path: str) -> str:
    """The options, the type and the source of what is mounted at `path`, of the last such mount."""
    fields = '$6 " " $(NF-2) " " ($(NF-2) == "ext4" ? "" : $NF)'
    return f"awk '$5 == \"{path}\" {{x = {fields}}} END {{print x}}' /proc/self/mountinfo"


def _each(script: str, *paths: str) -> str:
    return f"for p in {' '.join(paths)}; do {script}; done"


CAPS = "grep -E '^Cap' /proc/self/status"
MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi")
MASKED += ("/sys/firmware", "/sys/dev/block", "/sys/fs/selinux")
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
NODES = ("null", "zero", "full", "random", "urandom", "tty")
SHOW_MASK = '[ -d $p ] && echo "$p $(ls $p | wc -l)"; [ -c $p ] && stat -c "%n %F %t,%T" $p; true'

DEFAULT = (
    Behaviour("identity", "id; pwd; umask"),
    Behaviour("environment", "env | grep -vE '^(TERM|container|SHLVL|PWD)=' | sort"),
    Behaviour("term-variable", "echo ${TERM-unset}"),
    Behaviour("container-variable", "echo ${container-unset}"),
    Behaviour("container-marker", "ls -A /run 2>/dev/null; ls -A / | grep -E '^[.]'; true"),
    Behaviour("pids", "[ $$ = 1 ]; echo $?"),
    Behaviour("capabilities", CAPS),
    Behaviour("no-new-privileges", "grep NoNewPrivs /proc/self/status"),
    Behaviour("seccomp", "grep Seccomp: /proc/self/status"),
    Behaviour("oom-score", "cat /proc/self/oom_score_adj"),
    Behaviour("hostname-is-the-id", "hostname; cat /etc/hostname; echo $HOSTNAME"),
    Behaviour("hosts", "tr -s '\\t ' ' ' </etc/hosts | grep -v '^#' | grep . | sort"),
    Behaviour(
        "links-of-dev",
        "for l in fd stdin stdout stderr ptmx core; do echo $l $(readlink /dev/$l); done",
    ),
    Behaviour("names-in-dev", "ls /dev | sort | xargs"),
    Behaviour("nodes-of-dev", _each("stat -c '%n %a %u:%g %t,%T' /dev/$p", *NODES)),
    Behaviour("mount-of-root", "awk '$5 == \"/\" {print $6, $(NF-2)}' /proc/self/mountinfo"),
    Behaviour("mount-of-proc", _mount("/proc")),
    Behaviour("mount-of-sys", _mount("/sys")),
    Behaviour("mount-of-dev", _mount("/dev")),
    Behaviour("mount-of-dev-pts", _mount("/dev/pts")),
    Behaviour("mount-of-dev-shm", _mount("/dev/shm")),
    Behaviour("mount-of-dev-mqueue", _mount("/dev/mqueue")),
    Behaviour("mount-of-cgroup", _mount("/sys/fs/cgroup")),
    Behaviour("mount-of-memory-cgroup", _mount("/sys/fs/cgroup/memory")),
    Behaviour("mount-of-hosts", _mount("/etc/hosts")),
    Behaviour("mount-of-hostname", _mount("/etc/hostname")),
    Behaviour("mount-of-resolv-conf", _mount("/etc/resolv.conf")),
    Behaviour("mount-of-read-only-paths", _mount("/proc/sys")),
    Behaviour("masked-paths", _each(SHOW_MASK, *MASKED)),
    Behaviour("masked-interrupts", "[ -c /proc/interrupts ] && echo hidden || echo shown"),
    Behaviour(
        "read-only-paths",
        _each(
            "awk -v p=$p '$5 == p {print p, substr($6, 1, 2)}' /proc/self/mountinfo",
            *READ_ONLY,
        ),
    ),
    Behaviour("own-cgroup-path", "cut -d: -f3 /proc/self/cgroup | sort -u | head -1 | cut -c1-5"),
    Behaviour("limits", "ulimit -c; ulimit -s; ulimit -d; ulimit -v"),
    Behaviour("interfaces", "ls /sys/class/net"),
    Behaviour("descriptors", "ls /proc/self/fd | wc -l"),
    # not signal 32, which the C library keeps to itself: podman passes on what its caller ignores
    Behaviour(
        "signal-masks",
        "sed -n -E 's/^(Sig(Blk|Ign):).*(.{7})$/\\1 \\3/p' /proc/self/status",
    ),
    Behaviour(
        "user-namespace", "awk '{print $1, $2 == 0}' /proc/self/uid_map; cat /proc/self/setgroups"
    ),
    Behaviour("mount-is-denied", "mount -t tmpfs none /tmp 2>&1; chroot / true; echo $?"),
    Behaviour("mknod", "mknod /tmp/node c 1 3 2>&1; echo $?"),
)


def _alike(options: str, *looks: tuple[str, str]) -> tuple[Behaviour, ...]:
    return tuple(Behaviour(name, script, tuple(options.split())) for name, script in looks)


ID = "id; echo $HOME; pwd"
MANY = "-e A=1 -e A=2 -e EMPTY= -e FROM_IMAGE=mine -e HOME=/h -e FROM_CALLER -e MISSING "
MANY += "--env-file @/env --hostname name --add-host other:10.1.2.3 "
MANY += "--tmpfs /scratch:size=1m "
MANY += "--shm-size 3m --group-add 4242 --group-add app --oom-score-adj 100 -w /tree "
MANY += "--sysctl net.ipv4.ip_default_ttl=70 --ulimit nofile=100:200 --ulimit core=0 "
MANY += "-v @/shared:/ro:ro -v @/shared:/rw"

OPTIONS = (
    *_alike(
        MANY,
        ("-e", "echo $A,$FROM_IMAGE,$HOME,$FROM_CALLER,${MISSING-unset},${EMPTY-unset}"),
        ("--env-file", "echo $IN_FILE,$WITH_SPACE,$OVERRIDDEN,${COMMENTED-unset}"),
        ("--hostname", "hostname; cat /etc/hostname; echo $HOSTNAME"),
        ("--add-host", "grep 10.1.2.3 /etc/hosts | tr -s '\\t' ' '"),
        ("--tmpfs", _mount("/scratch") + "; stat -c '%a %u:%g' /scratch"),
        ("--shm-size", _mount("/dev/shm")),
        ("--group-add", "id -G"),
        ("--oom-score-adj", "cat /proc/self/oom_score_adj"),
        ("-w", "pwd; stat -c '%a %u:%g' ."),
        ("--sysctl", "cat /proc/sys/net/ipv4/ip_default_ttl"),
        ("--ulimit", "ulimit -n; ulimit -Hn; ulimit -c"),
        ("-v-ro", "touch /ro/x 2>&1; echo $?; cat /ro/given"),
        ("-v-rw", "touch /rw/made && rm /rw/made; echo $?"),
        ("mount-of-a-volume", _mount("/rw")),
    ),
    *_alike("-u 1234", ("-u-unknown-number", ID), ("-u-capabilities", CAPS)),
    *_alike("-u 1234:77", ("-u-numbers", ID)),
    *_alike("-u app", ("-u-name", ID)),
    *_alike("-u app:root", ("-u-name-and-group", ID)),
    *_alike("--cap-drop ALL", ("--cap-drop-all", CAPS), ("chown-is-denied", "chown 1 /tmp 2>&1")),
    *_alike("--cap-drop ALL --cap-add CHOWN --cap-add net_raw", ("--cap-add-to-none", CAPS)),
    *_alike("--cap-add SYS_PTRACE --cap-drop CAP_CHOWN", ("--cap-add", CAPS)),
    *_alike(
        "--security-opt no-new-privileges --security-opt seccomp=unconfined",
        ("--security-opt", "grep -E '^(NoNewPrivs|Seccomp:)' /proc/self/status"),
    ),
    *_alike(
        "--read-only",
        ("--read-only", "touch /x 2>&1; touch /etc/hosts; echo $?"),
        ("--read-only-tmp", "touch /tmp/x && echo writable"),
        ("--read-only-shm", "touch /dev/shm/x && echo writable"),
        ("--read-only-dev", "touch /dev/x && echo writable"),
    ),
    *_alike(
        "--privileged",
        ("--privileged-capabilities", CAPS),
        ("--privileged-seccomp", "grep Seccomp: /proc/self/status"),
        ("--privileged-sys", _mount("/sys") + "; " + _mount("/proc/sys")),
        ("--privileged-masks", _each(SHOW_MASK, "/proc/keys", "/proc/timer_list")),
        ("--privileged-devices", "[ -e /dev/loop-control ]; echo $?"),
    ),
    *_alike(
        "--network host --dns 10.9.9.9 --dns-search example.org --dns-option ndots:3",
        ("--dns", "sort /etc/resolv.conf"),
    ),
    *_alike("--pid host", ("--pid-host", "[ $$ -gt 1 ]; echo $?")),
    *_alike("--uts host", ("--uts-host", "hostname | wc -l")),
)


def _start(name: str, line: str, *more: str, **how: object) -> Start:
    return Start(name, (*line.split(), *more), **how)  # type: ignore[arg-type]


STARTS = (
    _start("status-of-the-process", "box sh -c", "exit 3"),
    _start("status-255", "box sh -c", "exit 255"),
    _start("status-125-of-the-process", "box sh -c", "exit 125"),
    _start("killed-by-a-signal", "box sh -c", "ulimit -t 1; while :; do :; done"),
    _start("first-process-ignores-signals", "box sh -c", "kill -TERM $$; echo lives"),
    _start("program-not-found", "box no-such-program"),
    _start("path-not-found", "box /no/such/program"),
    _start("not-executable", "box /plain.txt"),
    _start("directory-as-program", "box /etc"),
    _start("broken-program", "box /broken"),
    _start("unknown-option", "--no-such-option box true"),
    _start("unknown-user", "-u nobody-knows box true"),
    _start("unknown-group", "-u root:nobody-knows box true"),
    _start("unknown-capability", "--cap-add FLY box true"),
    _start("relative-workdir", "-w relative box pwd"),
    _start("file-as-workdir", "-w /plain.txt box pwd"),
    _start("missing-workdir", "-w /missing/dir box pwd"),
    _start("default-command", "box"),
    _start("entrypoint", "--entrypoint echo box a b"),
    _start("entrypoint-clears-the-command", "--entrypoint echo box"),
    _start("empty-entrypoint", "--entrypoint= box echo a"),
    _start("entrypoint-and-no-command", "--entrypoint= box"),
    _start("json-entrypoint", '--entrypoint ["echo","a"] box b'),
    _start("stdin-is-closed", "box wc -c", stdin="abc"),
    _start("stdin", "-i box wc -c", stdin="abc"),
    _start("stderr-is-apart", "box sh -c", "echo out; echo err >&2"),
    _start(
        "terminal",
        "-it box sh -c",
        "sleep .3; stty size; tty; stat -c %F /dev/console",
        terminal=True,
    ),
    _start("term-variable-of-a-terminal", "-it box sh -c", "sleep .3; echo $TERM", terminal=True),
    _start("no-terminal", "-i box sh -c", "tty; ls /dev/console 2>&1; true", stdin=""),
    _start("label", "--label a=b --stop-signal USR1 --stop-timeout 3 box echo started"),
    _start("wrong-label-file", "--label-file /no/such/file box true"),
    _start("missing-source-of-a-volume", "-v /no/such/folder/of/ours:/x box ls /x"),
    _start("relative-target-of-a-volume", "-v /tmp:x box true"),
    _start("wrong-mount-option", "-v /tmp:/x:nonsense box true"),
    _start("hidden-path", "--security-opt mask=/plain.txt box cat /plain.txt"),
    _start("wrong-sysctl", "--sysctl kernel.panic=1 box true"),
    _start("wrong-limit", "--ulimit nofile=x box true"),
)

BEHAVIOURS: dict[str, Behaviour | Start] = {
    each.name: each for each in (*DEFAULT, *OPTIONS, *STARTS)
}
