"""The default seccomp profile, as data: which system calls a process may make.

It is Docker's default profile in a shorter notation; NOTICE says where it comes from. What no
group allows fails with EPERM; `clone3` fails with ENOSYS, so that the C library falls back to
`clone`, whose flags a filter can read.
"""

from __future__ import annotations

import errno

from cache.record import record

Condition = tuple[int, str, int, int]
"""(argument's index, comparison of libseccomp, value, second value)."""


@record
class RuleGroup:
    """System calls that get the same answer, and where the group applies."""

    calls: str  # names, apart by blanks
    error: int = 0  # 0 allows the call, else it fails with this errno
    conditions: tuple[Condition, ...] = ()  # all must hold for the arguments
    with_capabilities: tuple[str, ...] = ()  # applies where the process may have all of them
    without_capabilities: tuple[str, ...] = ()  # applies where it may have none of them
    architectures: tuple[str, ...] = ()  # applies on these alone, by their Go names; () on all
    not_architectures: tuple[str, ...] = ()
    min_kernel: tuple[int, int] = (0, 0)


@record
class Architecture:
    """A machine, as uname(2) names it, and the others whose programs it runs too."""

    go_name: str
    compatible: tuple[str, ...] = ()  # by libseccomp's names


ARCHITECTURES = {
    "x86_64": Architecture("amd64", ("x86", "x32")),
    "aarch64": Architecture("arm64", ("arm",)),
    "mips64": Architecture("mips64", ("mips", "mips64n32")),
    "ppc64le": Architecture("ppc64le"),
    "s390x": Architecture("s390x", ("s390",)),
    "riscv64": Architecture("riscv64"),
    "loongarch64": Architecture("loong64"),
}

RULE_GROUPS: tuple[RuleGroup, ...] = (
    RuleGroup(
        "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown "
        "chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
        "clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect "
        "copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
        "epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit "
        "exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir "
        "fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr "
        "flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 "
        "fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv "
        "futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid "
        "geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp "
        "getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 "
        "getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid "
        "gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init "
        "inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents "
        "io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule "
        "landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat "
        "listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr "
        "lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore "
        "mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr "
        "mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
        "mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock "
        "munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 "
        "pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll "
        "ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 "
        "pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv "
        "recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat "
        "rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction "
        "rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
        "rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam "
        "sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval "
        "sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
        "sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop "
        "semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 "
        "setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority "
        "setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 "
        "setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid "
        "setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd "
        "signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 "
        "statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time "
        "timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime "
        "timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
        "timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat "
        "uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid "
        "write writev",
    ),
    RuleGroup(
        "process_vm_readv process_vm_writev ptrace",
        min_kernel=(4, 8),
    ),
    RuleGroup(
        "socket",
        conditions=((0, "LT", 38, 0),),
    ),
    RuleGroup(
        "socket",
        conditions=((0, "EQ", 39, 0),),
    ),
    RuleGroup(
        "socket",
        conditions=((0, "GT", 40, 0),),
    ),
    RuleGroup(
        "personality",
        conditions=((0, "EQ", 0, 0),),
    ),
    RuleGroup(
        "personality",
        conditions=((0, "EQ", 8, 0),),
    ),
    RuleGroup(
        "personality",
        conditions=((0, "EQ", 0x20000, 0),),
    ),
    RuleGroup(
        "personality",
        conditions=((0, "EQ", 0x20008, 0),),
    ),
    RuleGroup(
        "personality",
        conditions=((0, "EQ", 0xFFFFFFFF, 0),),
    ),
    RuleGroup(
        "sync_file_range2 swapcontext",
        architectures=("ppc64le",),
    ),
    RuleGroup(
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
        architectures=(
            "arm",
            "arm64",
        ),
    ),
    RuleGroup(
        "arch_prctl",
        architectures=(
            "amd64",
            "x32",
        ),
    ),
    RuleGroup(
        "modify_ldt",
        architectures=(
            "amd64",
            "x32",
            "x86",
        ),
    ),
    RuleGroup(
        "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
        architectures=(
            "s390",
            "s390x",
        ),
    ),
    RuleGroup(
        "riscv_flush_icache",
        architectures=("riscv64",),
    ),
    RuleGroup(
        "open_by_handle_at",
        with_capabilities=("CAP_DAC_READ_SEARCH",),
    ),
    RuleGroup(
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
        "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
        "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog "
        "umount umount2 unshare",
        with_capabilities=("CAP_SYS_ADMIN",),
    ),
    RuleGroup(
        "clone",
        conditions=((0, "MASKED_EQ", 0x7E020000, 0),),
        without_capabilities=("CAP_SYS_ADMIN",),
        not_architectures=(
            "s390",
            "s390x",
        ),
    ),
    RuleGroup(
        "clone",
        conditions=((1, "MASKED_EQ", 0x7E020000, 0),),
        without_capabilities=("CAP_SYS_ADMIN",),
        architectures=(
            "s390",
            "s390x",
        ),
    ),
    RuleGroup(
        "clone3",
        error=errno.ENOSYS,
        without_capabilities=("CAP_SYS_ADMIN",),
    ),
    RuleGroup(
        "reboot",
        with_capabilities=("CAP_SYS_BOOT",),
    ),
    RuleGroup(
        "chroot",
        with_capabilities=("CAP_SYS_CHROOT",),
    ),
    RuleGroup(
        "delete_module init_module finit_module",
        with_capabilities=("CAP_SYS_MODULE",),
    ),
    RuleGroup(
        "acct",
        with_capabilities=("CAP_SYS_PACCT",),
    ),
    RuleGroup(
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
        with_capabilities=("CAP_SYS_PTRACE",),
    ),
    RuleGroup(
        "iopl ioperm",
        with_capabilities=("CAP_SYS_RAWIO",),
    ),
    RuleGroup(
        "settimeofday stime clock_settime clock_settime64",
        with_capabilities=("CAP_SYS_TIME",),
    ),
    RuleGroup(
        "vhangup",
        with_capabilities=("CAP_SYS_TTY_CONFIG",),
    ),
    RuleGroup(
        "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
        with_capabilities=("CAP_SYS_NICE",),
    ),
    RuleGroup(
        "syslog",
        with_capabilities=("CAP_SYSLOG",),
    ),
    RuleGroup(
        "bpf",
        with_capabilities=("CAP_BPF",),
    ),
    RuleGroup(
        "perf_event_open",
        with_capabilities=("CAP_PERFMON",),
    ),
)
