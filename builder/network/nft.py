"""Handing text to nft(8), and asking the kernel, without it, whether the table is there."""

from __future__ import annotations

import _socket
import struct

from builder.network.errors import NetworkUnavailableError
from builder.network.program import program, run

_NETLINK_NETFILTER = 12
_GET_CHAIN = 10 << 8 | 4  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN
_REQUEST = 1  # NLM_F_REQUEST
_ERROR = 2  # NLMSG_ERROR
_INET = 1  # NFPROTO_INET
_TABLE_ATTRIBUTE, _NAME_ATTRIBUTE = 1, 3  # NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME
_WAIT_S = 5
_MOST_BYTES = 65536


def apply(text: str) -> None:
    """Change the firewall as one transaction. NetworkUnavailableError with nft's own words."""
    nft = program("nft")
    if nft is None:
        raise NetworkUnavailableError(
            "nft is not installed", hint="it comes with the package nftables; or use --network host"
        )
    status, said = run(nft, ["nft", "-f", "-"], text.encode())
    if status:
        raise NetworkUnavailableError(
            f"the firewall cannot be set up: nft said: {_first_line(said)}",
            hint="the kernel needs nf_tables with NAT; --network host works without",
        )


def _first_line(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[0][:300] if lines else "nothing"


def has_chain(table: str, chain: str) -> bool:
    """Whether the kernel has this chain: 0.1 ms, where a start of nft takes 4."""
    request = chain_request(table, chain)
    try:
        kind = struct.unpack_from("=IH", _asked(request))[1]
    except OSError:  # no netfilter, or not allowed: nft will say it in words
        return False
    return bool(kind != _ERROR)


def _asked(request: bytes) -> bytes:
    flags = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
    channel = _socket.socket(_socket.AF_NETLINK, flags, _NETLINK_NETFILTER)
    try:
        channel.settimeout(_WAIT_S)
        channel.send(request)
        return channel.recv(_MOST_BYTES)
    finally:
        channel.close()


def chain_request(table: str, chain: str) -> bytes:
    """The netlink message that asks for a chain. Spec: linux/netfilter/nf_tables.h."""
    body = struct.pack("=BBH", _INET, 0, 0)
    for number, text in ((_TABLE_ATTRIBUTE, table), (_NAME_ATTRIBUTE, chain)):
        value = text.encode() + b"\0"
        body += struct.pack("=HH", 4 + len(value), number) + value + b"\0" * (-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), _GET_CHAIN, _REQUEST, 1, 0) + body
