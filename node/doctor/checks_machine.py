"""Pure: what was seen of the machine, judged. Ports, disk, permissions, clock, pipelines."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from radnode.node.alarming.decision import ENDS_SOON
from radnode.node.doctor.finding import Finding, good, unchecked, warning, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from radnode.node.security.validity import Validity

Holder = Literal["nobody", "this node", "another program", "somebody"]

MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "fuse.sshfs", "fuse.glusterfs", "9p"})
LARGEST_SKEW_S = 5.0
"""Confirmation and leases are counted in tens of seconds; what is below does no harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipelines:
    """What a worker on this machine says. refused: name -> why it cannot be used.

    pinned: models of the model store whose files are those that were added. cuda: the names of the devices.
    networks: name -> how its network computes on the processor.
    """

    refused: Mapping[str, str]
    pinned: tuple[str, ...]
    cuda: tuple[str, ...]
    networks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def port(name: str, host: str, number: int, holder: Holder, refusal: str = "") -> Finding:
    """Can the node listen here? refusal: why nobody may, in the words of the system."""
    question = f"{name} port {number}"
    if refusal:
        return wrong(question, f"{host}:{number} cannot be listened on: {refusal}",
                     "take an address of this machine and a port from 1024 on, or give the account the right to it")
    if holder == "another program":
        return wrong(question, "another program listens here",
                     f"end it (`ss -ltnp 'sport = :{number}'` names it), or give the node another port")
    if holder == "somebody":
        return unchecked(question, "somebody listens here; only the node's own account may see whether it is the node")
    return good(question, "free" if holder == "nobody" else "this node listens here")


def space(free_bytes: int, reserve_bytes: int) -> Finding:
    """Is there room above the reserve?"""
    question, free, reserve = "free space", _size(free_bytes), _size(reserve_bytes)
    if free_bytes < reserve_bytes:
        return wrong(question, f"{free} free, below the reserve of {reserve}: images are refused with A700",
                     "free space, take a larger disk, or lower `retention_days`; images are taken again by itself")
    if free_bytes < 2 * reserve_bytes:
        return warning(question, f"{free} free, less than twice the reserve of {reserve}",
                       "free space before images are refused")
    return good(question, f"{free} free, the reserve is {reserve}")


def volume(folder: Path, kind: str, failure: str) -> Finding:
    """Does the file system keep what it flushed? kind: as the kernel names it. failure: of the self-test."""
    question = "data folder"
    if failure:
        return wrong(question, f"{folder} cannot write, flush, link and delete a file: {failure}",
                     "give the account of the node this folder; if it is its own, look at the volume and its mount")
    if kind in MEMORY_FILE_SYSTEMS:
        return wrong(question, f"{folder} is on {kind}, in memory: every image is lost with the power",
                     "put `data` on a disk")
    if kind in NETWORK_FILE_SYSTEMS:
        return wrong(question, f"{folder} is on {kind}: a flush does not prove there that an image is kept",
                     "put `data` on a local disk")
    return good(question, f"{folder} is on {kind or 'a file system of unknown kind'} and can write, flush and link")


def secret(path: Path, mode: int, holds: str) -> Finding:
    """May others read what is secret? holds: what the file has to do with secrets, empty for nothing."""
    question = f"permissions of {path.name}"
    if not holds:
        return good(question, "holds no secret")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        where = "others" if mode & stat.S_IRWXO else "its group"
        return warning(question, f"{path} holds {holds} and {where} may read it ({stat.filemode(mode)})",
                       f"chmod {'700' if stat.S_ISDIR(mode) else '600'} {path}")
    return good(question, f"holds {holds}; only its owner may read it")


def certificate(seen: Validity, now: datetime) -> Finding:
    """Is it good, and for how long?"""
    question = f"{seen.what} of {seen.owner}"
    if seen.ends_at is None:
        return wrong(question, seen.failure, "put it there, in PEM, readable for the account of the node")
    ends = f"{seen.path} {'ended' if seen.ends_at <= now else 'ends'} on {seen.ends_at:%d %b %Y %H:%M} UTC"
    if seen.ends_at <= now:
        return wrong(question, ends, "put a renewed one in its place: it is taken without a restart")
    if seen.ends_at - now < ENDS_SOON:
        return warning(question, ends, "have it renewed and put the new one in its place: no restart is needed")
    return good(question, ends)


def clock(against: str, offset_s: float) -> Finding:
    """Do two clocks agree? offset_s: theirs minus ours."""
    question = f"clock against {against}"
    if abs(offset_s) > LARGEST_SKEW_S:
        direction = "ahead of" if offset_s > 0 else "behind"
        return wrong(question, f"{against} is {abs(offset_s):.0f} s {direction} this machine",
                     "let a time service (chrony, systemd-timesyncd) set both clocks")
    return good(question, f"within {LARGEST_SKEW_S:.0f} s")


def time_service(synchronised: bool | None) -> Finding:
    """Does somebody set this clock?"""
    question = "time service"
    if synchronised is None:
        return unchecked(question, "the kernel does not tell whether its clock is set by a time service")
    if not synchronised:
        return warning(question, "the kernel says that nothing keeps its clock right",
                       "run chrony or systemd-timesyncd; in a container, on its host")
    return good(question, "the kernel says that its clock is kept right")


def pipelines(seen: Pipelines | None, wanted: tuple[str, ...]) -> list[Finding]:
    """Does every pipeline that a route runs load, with the model it was pinned with?"""
    if seen is None:
        return [unchecked("pipelines", "no worker could be started; see `radnode serve` in its log")]
    findings = [
        wrong(f"pipeline {name}", reason, "install or add it again; until then its studies fail")
        if name in wanted else
        warning(f"pipeline {name}", reason, "no route runs it: mend or remove it")
        for name, reason in sorted(seen.refused.items())
    ]
    for name in wanted:
        if name not in seen.refused:
            pinned = ", and its files are those that were added" if name in seen.pinned else ""
            findings.append(good(f"pipeline {name}", f"loads{pinned}"))
    return findings


def gpu(seen: Pipelines | None, devices: tuple[str, ...]) -> Finding:
    """Is every device there that a worker is configured for?"""
    wanted = sorted({device for device in devices if device != "cpu"})
    if seen is None:
        return unchecked("GPU", "no worker could be started")
    there = f"{len(seen.cuda)} seen: {', '.join(seen.cuda)}" if seen.cuda else "none seen"
    absent = [device for device in wanted if int(device.partition(":")[2] or 0) >= len(seen.cuda)]
    if absent:
        return wrong("GPU", f"{there}, workers are configured for {', '.join(absent)}",
                     "look at `nvidia-smi` and the CUDA build of torch, or set `device: cpu`")
    if seen.cuda and not wanted:
        return warning("GPU", f"{there}, no worker uses it", "set `device: cuda` at a worker")
    return good("GPU", there + ("" if wanted else ", none configured"))


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"
