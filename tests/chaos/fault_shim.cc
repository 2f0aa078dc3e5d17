// What the chaos suite preloads into a service: faults that only the process itself can have.
//
// The driver writes a small file, MELLOW_FAULTS, that every process maps: which allocations fail,
// how wrong the clock is, whether the disk (the folder MELLOW_FAULTS_DISK) is full, and until when
// a thread that got HangSignal() hangs. The shim writes back how often each fault has struck.

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
}

namespace {

using Cell = std::atomic<int64_t>;
static_assert(sizeof(Cell) == 8 && Cell::is_always_lock_free);

// The layout is that of fault_control.py.
struct Control {
  Cell clock_offset_ns;
  Cell disk_full;
  Cell fail_every;      // of the allocations that are large enough; 0: none fails
  Cell fail_min_bytes;  // smaller allocations do not fail
  Cell fail_left;       // how many fail at most
  Cell hang;            // threads that got HangSignal() hang while it is not 0
  // What has happened.
  Cell allocations;  // that were large enough while allocations failed
  Cell failed_allocations;
  Cell refused_writes;
  Cell hung_threads;
  Cell wrong_times;
};

// Nothing in the services uses a real-time signal.
int HangSignal() { return SIGRTMIN + 8; }
// Longest wait on the wall clock in one piece: a jump of the clock is noticed within it.
constexpr int64_t kSliceNs = 250'000'000;
constexpr int64_t kNsPerSecond = 1'000'000'000;

Control* control = nullptr;
const char* disk = nullptr;

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// ---- hung threads

void Hang(int /*signal*/) {
  const int saved = errno;
  control->hung_threads.fetch_add(1);
  while (control->hang.load() != 0) {
    const timespec pause = {.tv_sec = 0, .tv_nsec = 5'000'000};
    syscall(SYS_nanosleep, &pause, nullptr);
  }
  errno = saved;
}

// ---- crashes

// Where a failed allocation was not looked at, for the log.
void Crashed(int sig) {
  void* frames[40];
  backtrace_symbols_fd(frames, backtrace(frames, 40), STDERR_FILENO);
  signal(sig, SIG_DFL);
  raise(sig);
}

// ---- failed allocations

bool AllocationFails(size_t size) {
  if (control == nullptr) return false;
  const int64_t every = control->fail_every.load(std::memory_order_relaxed);
  if (every == 0 || size < static_cast<size_t>(control->fail_min_bytes.load())) return false;
  if ((control->allocations.fetch_add(1) + 1) % every != 0) return false;
  if (control->fail_left.fetch_sub(1) <= 0) return false;
  control->failed_allocations.fetch_add(1);
  errno = ENOMEM;
  return true;
}

// ---- the full disk

bool OnTheDisk(const char* path) {
  return disk != nullptr && strncmp(path, disk, strlen(disk)) == 0;
}

bool Refused() {
  control->refused_writes.fetch_add(1);
  errno = ENOSPC;
  return true;
}

bool DiskIsFull() { return control != nullptr && control->disk_full.load() != 0; }

bool WriteFails(int fd) {
  if (!DiskIsFull()) return false;
  char link[32] = "/proc/self/fd/";
  char digits[12];
  int n = 0;
  for (int rest = fd; n == 0 || rest > 0; rest /= 10)
    digits[n++] = static_cast<char>('0' + rest % 10);
  for (size_t at = strlen(link); n > 0;) link[at++] = digits[--n];
  char path[4096];
  const ssize_t length = readlink(link, path, sizeof(path) - 1);
  if (fd < 0 || length < 0) return false;
  path[length] = '\0';
  return OnTheDisk(path) && Refused();
}

bool CreationFails(const char* path) {
  return DiskIsFull() && OnTheDisk(path) && access(path, F_OK) != 0 && Refused();
}

// ---- the wrong clock

int64_t ClockOffset() { return control == nullptr ? 0 : control->clock_offset_ns.load(); }

bool OnWallClock(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

int64_t ToNs(const timespec& time) { return time.tv_sec * kNsPerSecond + time.tv_nsec; }
timespec FromNs(int64_t ns) {
  ns = ns < 0 ? 0 : ns;
  return {.tv_sec = ns / kNsPerSecond, .tv_nsec = ns % kNsPerSecond};
}

int64_t RealNow() {
  timespec now;
  static const auto next = Next<int(clockid_t, timespec*)>("clock_gettime");
  next(CLOCK_REALTIME, &now);
  return ToNs(now);
}

// The kernel's clock does not jump with ours. A wait for a moment of the wall clock is cut into
// slices of the kernel's time, so that after a jump it ends as it would on a machine whose clock
// was set.
timespec SliceEnd(const timespec& deadline) {
  const int64_t now = RealNow();
  const int64_t real_deadline = ToNs(deadline) - ClockOffset();
  return FromNs(real_deadline < now + kSliceNs ? real_deadline : now + kSliceNs);
}
bool Passed(const timespec& deadline) { return RealNow() + ClockOffset() >= ToNs(deadline); }

__attribute__((constructor)) void Start() {
  const char* file = getenv("MELLOW_FAULTS");
  if (file == nullptr) return;
  const int fd = open(file, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void* mapped = mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped == MAP_FAILED) abort();
  disk = getenv("MELLOW_FAULTS_DISK");
  struct sigaction action = {};
  action.sa_handler = Hang;
  action.sa_flags = SA_RESTART;
  sigaction(HangSignal(), &action, nullptr);
  void* frame;
  backtrace(&frame, 1);  // loads what it needs, while allocations do not fail
  signal(SIGSEGV, Crashed);
  // A driver that is killed leaves nothing behind.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  control = static_cast<Control*>(mapped);
}

}  // namespace

extern "C" {

void* malloc(size_t size) { return AllocationFails(size) ? nullptr : __libc_malloc(size); }
void* calloc(size_t count, size_t size) {
  return AllocationFails(count * size) ? nullptr : __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) {
  return AllocationFails(size) ? nullptr : __libc_realloc(old, size);
}
void* memalign(size_t alignment, size_t size) {
  return AllocationFails(size) ? nullptr : __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** out, size_t alignment, size_t size) {
  const int saved = errno;
  void* block = memalign(alignment, size);
  errno = saved;
  if (block == nullptr) return ENOMEM;
  *out = block;
  return 0;
}

ssize_t write(int fd, const void* bytes, size_t count) {
  static const auto next = Next<decltype(write)>("write");
  return WriteFails(fd) ? -1 : next(fd, bytes, count);
}
ssize_t writev(int fd, const iovec* parts, int count) {
  static const auto next = Next<decltype(writev)>("writev");
  return WriteFails(fd) ? -1 : next(fd, parts, count);
}
ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t offset) {
  static const auto next = Next<decltype(pwrite64)>("pwrite64");
  return WriteFails(fd) ? -1 : next(fd, bytes, count, offset);
}
ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  return pwrite64(fd, bytes, count, offset);
}
int ftruncate64(int fd, off64_t length) {
  static const auto next = Next<decltype(ftruncate64)>("ftruncate64");
  return length > 0 && WriteFails(fd) ? -1 : next(fd, length);
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }
int posix_fallocate64(int fd, off64_t offset, off64_t length) {
  static const auto next = Next<decltype(posix_fallocate64)>("posix_fallocate64");
  return WriteFails(fd) ? ENOSPC : next(fd, offset, length);
}
int posix_fallocate(int fd, off_t offset, off_t length) {
  return posix_fallocate64(fd, offset, length);
}
int fsync(int fd) {
  static const auto next = Next<decltype(fsync)>("fsync");
  return WriteFails(fd) ? -1 : next(fd);
}
int fdatasync(int fd) {
  static const auto next = Next<decltype(fdatasync)>("fdatasync");
  return WriteFails(fd) ? -1 : next(fd);
}
int open64(const char* path, int flags, ...) {
  static const auto next = Next<decltype(open64)>("open64");
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return (flags & O_CREAT) != 0 && CreationFails(path) ? -1 : next(path, flags, mode);
}
int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open64(path, flags, mode);
}
int mkdir(const char* path, mode_t mode) {
  static const auto next = Next<decltype(mkdir)>("mkdir");
  return CreationFails(path) ? -1 : next(path, mode);
}

int clock_gettime(clockid_t clock, timespec* out) {
  static const auto next = Next<int(clockid_t, timespec*)>("clock_gettime");
  const int result = next(clock, out);
  const int64_t offset = ClockOffset();
  if (result == 0 && offset != 0 && OnWallClock(clock)) {
    control->wrong_times.fetch_add(1);
    *out = FromNs(ToNs(*out) + offset);
  }
  return result;
}
int gettimeofday(timeval* out, void* /*zone*/) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  *out = {.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return 0;
}
time_t time(time_t* out) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

int pthread_cond_clockwait(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t clock,
                           const timespec* deadline) {
  static const auto next = Next<int(pthread_cond_t*, pthread_mutex_t*, clockid_t, const timespec*)>(
      "pthread_cond_clockwait");
  if (control == nullptr || !OnWallClock(clock)) return next(cond, mutex, clock, deadline);
  const timespec end = SliceEnd(*deadline);
  const int result = next(cond, mutex, clock, &end);
  // A wake-up without a reason is allowed, and every caller looks whether its time has come.
  return result == ETIMEDOUT && !Passed(*deadline) ? 0 : result;
}
int pthread_cond_timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex, const timespec* deadline) {
  // glibc keeps there whether pthread_condattr_setclock chose the monotonic clock.
  const bool monotonic = (cond->__data.__wrefs & 2U) != 0;
  return pthread_cond_clockwait(cond, mutex, monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME,
                                deadline);
}

// abseil's mutexes wait on futexes by themselves.
long syscall(long number, ...) {
  static const auto next = Next<long(long, long, long, long, long, long, long)>("syscall");
  va_list list;
  va_start(list, number);
  long a[6];
  for (long& argument : a) argument = va_arg(list, long);
  va_end(list);
  const auto* deadline = reinterpret_cast<const timespec*>(a[3]);
  const bool wall_clock_wait = number == SYS_futex && control != nullptr &&
                               (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET &&
                               (a[1] & FUTEX_CLOCK_REALTIME) != 0 && deadline != nullptr;
  if (!wall_clock_wait) return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  const timespec end = SliceEnd(*deadline);
  const long result = next(number, a[0], a[1], a[2], reinterpret_cast<long>(&end), a[4], a[5]);
  if (result < 0 && errno == ETIMEDOUT && !Passed(*deadline)) errno = EINTR;
  return result;
}

}  // extern "C"
