// Kernels for the emulator are compiled with the instrumentation of ThreadSanitizer: the compiler puts a call
// before each access to memory that others can see. Here these calls are ours: they report to the block
// instead of to a sanitizer's run-time library, which is never linked together with this file. Names and
// meaning are those of the compilers' interface.
#include <cstddef>

#include "targets/emulator/block.h"

namespace {

void report(const void* p, std::size_t bytes, bool is_write) {
  if (quire::Block* block = quire::Block::current()) block->access(p, bytes, is_write);
}

}  // namespace

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

#define QUIRE_HOOKS(bytes)                                                \
  void __tsan_read##bytes(void* p) { report(p, bytes, false); }           \
  void __tsan_write##bytes(void* p) { report(p, bytes, true); }           \
  void __tsan_unaligned_read##bytes(void* p) { report(p, bytes, false); } \
  void __tsan_unaligned_write##bytes(void* p) { report(p, bytes, true); }
QUIRE_HOOKS(1)
QUIRE_HOOKS(2)
QUIRE_HOOKS(4)
QUIRE_HOOKS(8)
QUIRE_HOOKS(16)
#undef QUIRE_HOOKS

void __tsan_read_range(void* p, std::size_t bytes) { report(p, bytes, false); }
void __tsan_write_range(void* p, std::size_t bytes) { report(p, bytes, true); }
void __tsan_vptr_update(void*, void*) {}
void __tsan_vptr_read(void*) {}

void* __tsan_memcpy(void* to, const void* from, std::size_t bytes) {
  report(from, bytes, false);
  report(to, bytes, true);
  return __builtin_memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, std::size_t bytes) {
  report(from, bytes, false);
  report(to, bytes, true);
  return __builtin_memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int value, std::size_t bytes) {
  report(to, bytes, true);
  return __builtin_memset(to, value, bytes);
}

}  // extern "C"
