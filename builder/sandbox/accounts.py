"""Users and groups of an image: USER, `run -u` and COPY --chown, read from the image's own files.

The host's NSS is never asked: it would load what the image or the host's network says. A number is
an id and never a name, so that a line `1000:x:0:0:` in the image's passwd makes nobody root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence

from builder.kernel.paths import open_in_root
from builder.sandbox.api import Credentials
from builder.sandbox.errors import AccountError
from cache.record import record

MAX_ID = 2**31 - 1
_MAX_FILE_BYTES = 1 << 20  # 20,000 accounts; a larger file is no account file


@record
class PasswdEntry:
    """A line of /etc/passwd."""

    name: str
    uid: int
    gid: int
    home: str


@record
class GroupEntry:
    """A line of /etc/group."""

    name: str
    gid: int
    members: tuple[str, ...]


@record
class Account:
    """Whom a process runs as."""

    credentials: Credentials
    name: str  # "" for an id that the image's passwd does not name
    home: str


def parse_passwd(text: str) -> tuple[PasswdEntry, ...]:
    """The well-formed lines, in order; others are skipped, as the C library does it."""
    return tuple(
        PasswdEntry(name, uid, gid, fields[5])
        for name, fields in _lines(text, fields=7)
        if (uid := _id(fields[2])) is not None and (gid := _id(fields[3])) is not None
    )


def parse_group(text: str) -> tuple[GroupEntry, ...]:
    """The well-formed lines, in order; others are skipped, as the C library does it."""
    return tuple(
        GroupEntry(name, gid, tuple(member for member in fields[3].split(",") if member))
        for name, fields in _lines(text, fields=4)
        if (gid := _id(fields[2])) is not None
    )


def lookup_user(root_fd: int, user: str, *, more_groups: Sequence[str] = ()) -> Account:
    """The account for `NAME`, `UID`, `NAME:GROUP`, ... ("" is root) over the image at `root_fd`.

    Supplementary groups are those that /etc/group lists for the name, none where a group is given,
    and `more_groups`, by name or number.
    AccountError for a name that the image does not have and for a number out of range.
    """
    user_part, separator, group_part = user.partition(":")
    passwd = parse_passwd(_read(root_fd, "etc/passwd"))
    number = _number(user_part or "0", what="user")
    entry = _named_user(passwd, user_part) if number is None else _numbered_user(passwd, number)
    groups = parse_group(_read(root_fd, "etc/group"))
    more = tuple(_group_id(groups, group) for group in more_groups)
    if separator and group_part:
        credentials = Credentials(entry.uid, _group_id(groups, group_part), more)
    else:
        listed = dict.fromkeys((*_supplementary(groups, entry), *more))
        credentials = Credentials(entry.uid, entry.gid, tuple(listed))
    return Account(credentials, entry.name, entry.home or "/")


def _supplementary(groups: tuple[GroupEntry, ...], entry: PasswdEntry) -> tuple[int, ...]:
    if not entry.name:
        return ()
    gids = (group.gid for group in groups if entry.name in group.members)
    return tuple(dict.fromkeys(gid for gid in gids if gid != entry.gid))


def lookup_owner(root_fd: int, chown: str) -> tuple[int, int]:
    """(uid, gid) for the value of `--chown`.

    `NAME` takes its primary group, `NUMBER` makes both ids that number. AccountError as above.
    """
    user_part, separator, group_part = chown.partition(":")
    number = _number(user_part or "0", what="user")
    if number is None:
        entry = _named_user(parse_passwd(_read(root_fd, "etc/passwd")), user_part)
        uid, gid = entry.uid, entry.gid
    else:
        uid = gid = number
    if separator and group_part:
        gid = _group_number_or_name(root_fd, group_part)
    return uid, gid


def home_of(root_fd: int, uid: int) -> str:
    """The home directory that the image's passwd gives `uid`; "/" where it gives none."""
    return _numbered_user(parse_passwd(_read(root_fd, "etc/passwd")), uid).home or "/"


def _group_number_or_name(root_fd: int, group: str) -> int:
    number = _number(group, what="group")
    if number is not None:
        return number
    return _group_id(parse_group(_read(root_fd, "etc/group")), group)


def _lines(text: str, *, fields: int) -> Iterator[tuple[str, list[str]]]:
    for line in text.split("\n"):
        parts = line.split(":")
        if len(parts) >= fields and parts[0] and not parts[0].startswith(("#", "+", "-")):
            yield parts[0], parts


def _id(text: str) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MAX_ID:
        return int(text)
    return None


def _number(text: str, *, what: str) -> int | None:
    """The id that all-digit text is; None for a name."""
    if not (text.isascii() and text.lstrip("+-").isdigit()):
        return None
    number = _id(text)
    if number is None:
        raise AccountError(f"{what} id {text} is out of range", hint=f"ids go from 0 to {MAX_ID}")
    return number


def _named_user(passwd: tuple[PasswdEntry, ...], name: str) -> PasswdEntry:
    for entry in passwd:
        if entry.name == name:
            return entry
    raise AccountError(
        f'the image has no user "{name}"',
        hint="make the user in an earlier step (its /etc/passwd is what counts) or give its number",
    )


def _numbered_user(passwd: tuple[PasswdEntry, ...], uid: int) -> PasswdEntry:
    for entry in passwd:
        if entry.uid == uid:
            return entry
    return PasswdEntry(name="", uid=uid, gid=0, home="/")


def _group_id(groups: tuple[GroupEntry, ...], group: str) -> int:
    number = _number(group, what="group")
    if number is not None:
        return number
    for entry in groups:
        if entry.name == group:
            return entry.gid
    raise AccountError(
        f'the image has no group "{group}"',
        hint="make the group in an earlier step (its /etc/group is what counts) or give its number",
    )


def _read(root_fd: int, path: str) -> str:
    """The file's text; "" where it is missing. AccountError where it is no regular, small file."""
    try:
        # NONBLOCK: a FIFO in its place must not make us wait
        fd = open_in_root(root_fd, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return ""
        raise AccountError(f"the image's /{path} cannot be read: {error.strerror}") from error
    try:
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
        content = os.pread(fd, _MAX_FILE_BYTES + 1, 0) if regular else None
    finally:
        os.close(fd)
    if content is None or len(content) > _MAX_FILE_BYTES:
        raise AccountError(
            f"the image's /{path} is no regular file of at most {_MAX_FILE_BYTES >> 20} MiB",
            hint="it decides who a process runs as; look at what the image put there",
        )
    return content.decode("utf-8", "surrogateescape")
