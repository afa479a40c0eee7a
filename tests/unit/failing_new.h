// operator new that fails where a test says, and counts. To be included once in a test program.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>

namespace quire {

constexpr std::int64_t kNoFailure = std::numeric_limits<std::int64_t>::max();
inline std::atomic<std::int64_t> num_allocations = 0;         // by all threads
inline std::atomic<std::int64_t> first_failure = kNoFailure;  // the allocations from here on …
inline std::atomic<std::int64_t> num_failures = 0;            // … so many of them, fail

inline void fail_allocations(std::int64_t first, std::int64_t num) {
  num_allocations = 0;
  num_failures = num;
  first_failure = first;
}

inline void* allocate_or_fail(std::size_t bytes) {
  const std::int64_t idx = num_allocations++, first = first_failure;
  const bool must_fail = idx >= first && idx - first < num_failures;
  void* data = must_fail ? nullptr : std::malloc(bytes > 0 ? bytes : 1);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

}  // namespace quire

void* operator new(std::size_t bytes) { return quire::allocate_or_fail(bytes); }
void* operator new[](std::size_t bytes) { return quire::allocate_or_fail(bytes); }
void operator delete(void* data) noexcept { std::free(data); }
void operator delete[](void* data) noexcept { std::free(data); }
void operator delete(void* data, std::size_t) noexcept { std::free(data); }
void operator delete[](void* data, std::size_t) noexcept { std::free(data); }
