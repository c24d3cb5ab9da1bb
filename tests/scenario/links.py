# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cuts connections of other processes, as a broken network does: both ends see the end at once.
(pidfd_getfd: a second handle on a socket of theirs, shut down from here.)"""
import ctypes
import os
import socket
import stat

PIDFD_GETFD = 438
LIBC = ctypes.CDLL(None, use_errno=True)


def sockets_of(pid):
    """The sockets of a process, as objects of our own over the same connections."""
    found = []
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return found
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                if not stat.S_ISSOCK(os.stat(f"/proc/{pid}/fd/{name}").st_mode):
                    continue
            except OSError:
                continue
            copy = LIBC.syscall(PIDFD_GETFD, handle, int(name), 0)
            if copy >= 0:
                found.append(socket.socket(fileno=copy))
    except FileNotFoundError:
        pass
    finally:
        os.close(handle)
    return found


def peer_of(one):
    try:
        return one.getpeername()
    except OSError:
        return None


def cut(pid, wanted):
    """Shuts down each connection of the process whose peer address `wanted` likes; how many."""
    count = 0
    for one in sockets_of(pid):
        with one:
            peer = peer_of(one)
            if peer is not None and wanted(one.family, peer):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it has ended by itself
                count += 1
    return count


def cut_tcp(pid, address, ports):
    """Connections of the process to these ports of that address."""
    return cut(pid, lambda family, peer: family == socket.AF_INET and peer[0] == address
               and peer[1] in ports)


def cut_unix(pid):
    """Connections of the process over unix sockets with a name: those of a client to a daemon."""
    return cut(pid, lambda family, peer: family == socket.AF_UNIX and bool(peer))


def listening_ports(address, ports):
    """Which of these ports somebody listens on."""
    wanted = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    found = set()
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in list(table)[1:]:
            local, state = line.split()[1], line.split()[3]
            host, port = local.split(":")
            if state == "0A" and host in (wanted, "00000000") and int(port, 16) in ports:
                found.add(int(port, 16))
    return found
