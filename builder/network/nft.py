"""Handing text to nft(8), and asking the kernel, without it, whether the table is there."""

from __future__ import annotations

import _socket
import os
import shutil
import struct

from builder.network.errors import NetworkUnavailableError

_NETLINK_NETFILTER = 12
_GET_CHAIN = 10 << 8 | 4  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN
_REQUEST = 1  # NLM_F_REQUEST
_ERROR = 2  # NLMSG_ERROR
_INET = 1  # NFPROTO_INET
_TABLE_ATTRIBUTE, _NAME_ATTRIBUTE = 1, 3  # NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME
_WAIT_S = 5
_SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def program(name: str) -> str | None:
    """Where a program of the system's is, also where the caller's PATH leaves out sbin."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SAFE_PATH}")


def apply(text: str) -> None:
    """Change the firewall as one transaction. NetworkUnavailableError with nft's own words."""
    nft = program("nft")
    if nft is None:
        raise NetworkUnavailableError(
            "nft is not installed", hint="it comes with the package nftables; or use --network host"
        )
    status, said = _run(nft, text.encode())
    if status:
        raise NetworkUnavailableError(
            f"the firewall cannot be set up: nft said: {_first_line(said)}",
            hint="the kernel needs nf_tables with NAT; --network host works without",
        )


def _run(nft: str, text: bytes) -> tuple[int, str]:
    """The exit status and what it said. Files in memory: no pipe to fill, no thread."""
    input_fd = os.memfd_create("nft-input")
    output_fd = os.memfd_create("nft-output")
    try:
        with open(input_fd, "wb", closefd=False) as file:
            file.write(text)
        os.lseek(input_fd, 0, os.SEEK_SET)
        actions = [
            (os.POSIX_SPAWN_DUP2, input_fd, 0),
            (os.POSIX_SPAWN_DUP2, output_fd, 1),
            (os.POSIX_SPAWN_DUP2, output_fd, 2),
        ]
        pid = os.posix_spawn(nft, ["nft", "-f", "-"], {"LC_ALL": "C"}, file_actions=actions)
        _, wait_status = os.waitpid(pid, 0)
        said = os.pread(output_fd, 10_000, 0).decode(errors="replace")
        return os.waitstatus_to_exitcode(wait_status), said
    finally:
        os.close(input_fd)
        os.close(output_fd)


def _first_line(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[0][:300] if lines else "nothing"


def has_chain(table: str, chain: str) -> bool:
    """Whether the kernel has this chain: 0.1 ms, where a start of nft takes 4."""
    request = chain_request(table, chain)
    try:
        with _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, _NETLINK_NETFILTER) as channel:
            channel.settimeout(_WAIT_S)
            channel.send(request)
            answer = channel.recv(65536)
    except OSError:  # no netfilter, or not allowed: nft will say it in words
        return False
    kind = struct.unpack_from("=IH", answer)[1]
    return kind != _ERROR


def chain_request(table: str, chain: str) -> bytes:
    """The netlink message that asks for a chain. Spec: linux/netfilter/nf_tables.h."""
    body = struct.pack("=BBH", _INET, 0, 0)
    for number, text in ((_TABLE_ATTRIBUTE, table), (_NAME_ATTRIBUTE, chain)):
        value = text.encode() + b"\0"
        body += struct.pack("=HH", 4 + len(value), number) + value + b"\0" * (-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), _GET_CHAIN, _REQUEST, 1, 0) + body
