"""The faults inside one process: the file that fault_shim.cc maps, and the signal that hangs a thread."""
import ctypes
import mmap
import pathlib
import signal
import struct
import time

# The layout is that of fault_shim.cc.
FIELDS = ["clock_offset_ns", "disk_full", "fail_every", "fail_min_bytes", "fail_left", "hang",
          "allocations", "failed_allocations", "refused_writes", "hung_threads", "wrong_times"]
HANG_SIGNAL = signal.SIGRTMIN + 8
SYS_TGKILL = 234
WATCH_SECONDS = 0.2


class FaultControl:
    """Attributes are the fields; writing one changes the process at once."""

    def __init__(self, path):
        pathlib.Path(path).write_bytes(bytes(8 * len(FIELDS)))
        with open(path, "r+b") as file:
            self.__dict__["_map"] = mmap.mmap(file.fileno(), 0)

    def __getattr__(self, field):
        return struct.unpack_from("<q", self._map, 8 * FIELDS.index(field))[0]

    def __setattr__(self, field, value):
        struct.pack_into("<q", self._map, 8 * FIELDS.index(field), value)


def cpu_times(pid):
    """Ticks that each thread has computed."""
    times = {}
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        times[int(stat.parent.name)] = int(fields[11]) + int(fields[12])
    return times


def busiest_thread(pid):
    """The thread that computes now, or the one that has computed most: the engine. None: the process is gone."""
    before = cpu_times(pid)
    time.sleep(WATCH_SECONDS)
    after = cpu_times(pid)
    return max(after, key=lambda thread: (after[thread] - before.get(thread, 0), after[thread]), default=None)


def hang_busiest_thread(pid, control):
    thread = busiest_thread(pid)
    if thread is None:
        return
    control.hang = 1
    ctypes.CDLL(None).syscall(SYS_TGKILL, pid, thread, int(HANG_SIGNAL))
