"""The faults: what each does to the cluster, for how long, and to whom."""
import signal

import fault_control

MIB = 1 << 20


class Fault:
    """One fault. `service` is None for what is done to the training command."""
    seconds = (0, 0)  # how long it lasts
    deadly = False    # whether the process may end by it
    roles = ("orchestrator", "learner", "learner-worker", "reward", "judge", "policy")

    def __init__(self, service, random):
        self.service = service
        self.random = random
        self.life = service.lives if service else 0
        self.duration = random.uniform(*self.seconds)
        self.detail = ""

    def begin(self):
        raise NotImplementedError

    def end(self):
        """Called when it is over, also when the process has died meanwhile."""

    def same_life(self):
        return self.service.lives == self.life and self.service.process.poll() is None


class Kill(Fault):
    deadly = True

    def begin(self):
        self.service.send(signal.SIGKILL)


class Terminate(Fault):
    deadly = True

    def begin(self):
        self.service.send(signal.SIGTERM)


class Stop(Fault):
    seconds = (0.5, 12)

    def begin(self):
        self.service.send(signal.SIGSTOP)

    def end(self):
        if self.same_life():
            self.service.send(signal.SIGCONT)


class Hang(Fault):
    """The thread that computes hangs; heartbeats go on."""
    seconds = (1, 15)

    def begin(self):
        fault_control.hang_busiest_thread(self.service.pid, self.service.control)

    def end(self):
        self.service.control.hang = 0


class SlowLink(Fault):
    seconds = (2, 12)

    def begin(self):
        delay, rate = self.random.uniform(0.01, 0.5), self.random.uniform(0.05, 4) * MIB
        self.detail = f"{delay * 1000:.0f} ms, {rate / MIB:.2f} MiB/s"
        self.service.link.slow(delay, rate)

    def end(self):
        self.service.link.restore()


class CutLink(SlowLink):
    seconds = (0.1, 8)

    def begin(self):
        self.service.link.cut()


class SilentLink(SlowLink):
    seconds = (1, 20)

    def begin(self):
        self.service.link.silence()


class FullDisk(Fault):
    seconds = (0.5, 8)
    roles = ("orchestrator", "learner")

    def begin(self):
        self.service.control.disk_full = 1

    def end(self):
        self.service.control.disk_full = 0


class FailedAllocations(Fault):
    seconds = (0.5, 5)
    deadly = True

    def begin(self):
        # Small ones end the process, in gRPC or elsewhere; large ones are the engines' and are survived.
        smallest = self.random.choice((1, 4096, 16384, 65536, 262144))
        control = self.service.control
        control.fail_min_bytes = smallest
        control.fail_left = self.random.choice((1, 1, 3, 20))
        control.fail_every = self.random.choice((1, 3, 20) if smallest > 1 else (500, 5000))
        self.detail = f"every {control.fail_every}th of at least {smallest} bytes, {control.fail_left} in all"

    def end(self):
        self.service.control.fail_every = 0


class ClockJump(Fault):
    """Jumps away, and back at the end. A service whose clock is set back ends by itself."""
    seconds = (2, 15)
    deadly = True

    def begin(self):
        jump = self.random.choice((-1, 1)) * self.random.choice((2, 60, 3600))
        self.detail = f"{jump:+d} s"
        self.service.control.clock_offset_ns = jump * 10**9

    def end(self):
        self.service.control.clock_offset_ns = 0


class KillCommand(Fault):
    """The person's `mellow train` is killed; the run goes on without it."""
    roles = ()

    def __init__(self, training, random):
        super().__init__(None, random)
        self.training = training

    def begin(self):
        self.training.kill_command()


KINDS = {"kill": Kill, "terminate": Terminate, "stop": Stop, "hang": Hang, "slow link": SlowLink, "cut link": CutLink, "silent link": SilentLink,
         "full disk": FullDisk, "failed allocations": FailedAllocations, "clock jump": ClockJump, "kill command": KillCommand}
