// A library for LD_PRELOAD that makes malloc and pthread_create of a running program fail where a test says,
// and files wait before they are mapped. The test and the library share a file of 64-bit numbers, named by
// FAULTY_SYSTEM:
//   [0] 1: allocations are counted and may fail      [3] allocations so far, since the test set it to 0
//   [1] the first allocation that fails, from 0      [4] of them failed
//   [2] how many fail in a row                       [5] threads that may still start; negative: any number
//   [6] 1: files are not mapped until it is 0
// Where FAULTY_TRACE names a file as well, the stack of each allocation that fails is appended to it.
// Written for glibc, whose own names of the functions need no look-up that would allocate.
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace {

struct Orders {
  std::atomic<std::int64_t> is_armed, first, num_in_a_row, num_seen, num_failed, num_threads_left,
      holds_files;
};

void* map_now(void* at, std::size_t bytes, int protection, int flags, int fd, off_t offset) {
  return reinterpret_cast<void*>(::syscall(SYS_mmap, at, bytes, protection, flags, fd, offset));
}

Orders* find_orders() {
  const char* path = std::getenv("FAULTY_SYSTEM");
  const int fd = path == nullptr ? -1 : ::open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return nullptr;
  void* data = map_now(nullptr, sizeof(Orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  return data == MAP_FAILED ? nullptr : static_cast<Orders*>(data);
}

std::atomic<Orders*> orders = nullptr;
int trace_fd = -1;

__attribute__((constructor)) void start() {
  if (const char* path = std::getenv("FAULTY_TRACE")) {
    void* first = nullptr;
    ::backtrace(&first, 1);  // the first call of all allocates
    trace_fd = ::open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  }
  orders = find_orders();
}

void trace(std::int64_t place) {
  char line[32] = {};
  char* begin = line + sizeof line - 1;
  *--begin = '\n';
  for (; place > 0 || begin[0] == '\n'; place /= 10) *--begin = static_cast<char>('0' + place % 10);
  const std::size_t num_bytes = static_cast<std::size_t>(line + sizeof line - 1 - begin);
  if (::write(trace_fd, begin, num_bytes) < 0) return;
  void* frames[64];
  ::backtrace_symbols_fd(frames, ::backtrace(frames, 64), trace_fd);
}

bool must_fail() {
  Orders* now = orders.load(std::memory_order_relaxed);
  if (now == nullptr || now->is_armed == 0) return false;
  const std::int64_t idx = now->num_seen++;
  if (idx < now->first || idx >= now->first + now->num_in_a_row) return false;
  ++now->num_failed;
  if (trace_fd >= 0) trace(idx);
  errno = ENOMEM;
  return true;
}

}  // namespace

extern "C" {

void* malloc(std::size_t bytes) { return must_fail() ? nullptr : __libc_malloc(bytes); }
void* calloc(std::size_t count, std::size_t bytes) {
  return must_fail() ? nullptr : __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) { return must_fail() ? nullptr : __libc_realloc(old, bytes); }
void* memalign(std::size_t alignment, std::size_t bytes) {
  return must_fail() ? nullptr : __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) { return memalign(alignment, bytes); }
int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) {
  void* data = memalign(alignment, bytes);
  if (data == nullptr) return ENOMEM;
  *out = data;
  return 0;
}

void* mmap(void* at, std::size_t bytes, int protection, int flags, int fd, off_t offset) {
  while (fd >= 0 && orders != nullptr && orders.load()->holds_files != 0) ::usleep(10'000);
  return map_now(at, bytes, protection, flags, fd, offset);
}
void* mmap64(void* at, std::size_t bytes, int protection, int flags, int fd, off_t offset) {
  return mmap(at, bytes, protection, flags, fd, offset);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto create = reinterpret_cast<Create>(::dlsym(RTLD_NEXT, "pthread_create"));
  Orders* now = orders;
  if (now != nullptr && now->num_threads_left >= 0 && now->num_threads_left-- == 0) {
    now->num_threads_left = 0;
    return EAGAIN;
  }
  return create(thread, attributes, run, argument);
}
}
