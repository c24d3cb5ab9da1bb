# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that really hangs: a file in a FUSE file system whose server stops answering. Whoever
waits for it then waits in the kernel, where no signal reaches him (state D)."""
import ctypes
import os
import struct
import tempfile
import threading
from pathlib import Path

# include/uapi/linux/fuse.h
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT = \
    1, 2, 3, 4, 14, 15, 16, 17, 18, 20, 25, 26
INTERRUPT, BATCH_FORGET, DESTROY = 36, 42, 38
HEAD = struct.Struct("<IIQQIIIHH")
ENOENT, ENOSYS = 2, 38
ROOT, FILE = 1, 2
FOREVER = 1 << 30
WRITE_MOST = 1 << 17


class HungDisk:
    """A context manager: `image` is a raw disk until hang() is called. Leaving ends the file
    system, and every wait for it with an error."""

    def __init__(self, size):
        self.data = bytearray(size)
        self.place = Path(tempfile.mkdtemp(prefix="segue-hung-"))
        self.image = self.place / "vda.raw"
        self.hangs = threading.Event()
        self.waiting = threading.Event()
        self.ended = False
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"segue-test", bytes(self.place), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount")
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def hang(self):
        self.hangs.set()

    def end(self):
        """Nobody waits any longer: who reads or writes gets an error."""
        if self.ended:
            return
        self.ended = True
        libc = ctypes.CDLL(None, use_errno=True)
        # MNT_FORCE aborts what waits; MNT_DETACH takes it away also from those who have it open.
        libc.umount2(bytes(self.place), 1)
        libc.umount2(bytes(self.place), 2)
        self.place.rmdir()

    def serve(self):
        try:
            while True:
                request = os.read(self.device, WRITE_MOST + (1 << 16))
                _, opcode, unique, node = HEAD.unpack_from(request)[:4]
                if self.hangs.is_set():
                    self.waiting.set()
                    continue
                answer = self.answer(opcode, node, request[HEAD.size:])
                if answer is None:
                    continue
                error, body = (-answer, b"") if isinstance(answer, int) else (0, answer)
                os.write(self.device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
        except OSError:
            os.close(self.device)  # unmounted

    def attributes(self, node):
        is_root = node == ROOT
        size = 0 if is_root else len(self.data)
        mode, links = (0o40755, 2) if is_root else (0o100666, 1)
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, (size + 511) // 512, 0, 0, 0, 0, 0, 0,
                           mode, links, 0, 0, 0, 4096, 0)

    def answer(self, opcode, node, body):
        """An errno, the answer's body, or nothing for what is not answered."""
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            return None
        if opcode == INIT:
            return struct.pack("<IIIIHHIIHH28x", 7, 31, 1 << 16, 0, 16, 12, WRITE_MOST, 1, 32, 0)
        if opcode == LOOKUP:
            if body.rstrip(b"\0") != b"vda.raw":
                return ENOENT
            return struct.pack("<QQQQII", FILE, 0, FOREVER, 0, 0, 0) + self.attributes(FILE)
        if opcode in (GETATTR, SETATTR):
            return struct.pack("<QII", 0, 0, 0) + self.attributes(node)
        if opcode == OPEN:
            return struct.pack("<QII", 1, 1, 0)  # FOPEN_DIRECT_IO: each write is one of ours
        if opcode == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return bytes(self.data[offset:offset + size])
        if opcode == WRITE:
            _, offset, size = struct.unpack_from("<QQI", body)
            self.data[offset:offset + size] = body[40:40 + size]
            return struct.pack("<II", size, 0)
        if opcode == STATFS:
            return struct.pack("<QQQQQIIII24x", 1 << 20, 1 << 19, 1 << 19, 2, 0, 4096, 255, 4096, 0)
        return b"" if opcode in (RELEASE, FSYNC, FLUSH, DESTROY) else ENOSYS
