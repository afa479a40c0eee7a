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

void __tsan_read1(void* p) { report(p, 1, false); }
void __tsan_read2(void* p) { report(p, 2, false); }
void __tsan_read4(void* p) { report(p, 4, false); }
void __tsan_read8(void* p) { report(p, 8, false); }
void __tsan_read16(void* p) { report(p, 16, false); }
void __tsan_write1(void* p) { report(p, 1, true); }
void __tsan_write2(void* p) { report(p, 2, true); }
void __tsan_write4(void* p) { report(p, 4, true); }
void __tsan_write8(void* p) { report(p, 8, true); }
void __tsan_write16(void* p) { report(p, 16, true); }

void __tsan_unaligned_read2(void* p) { report(p, 2, false); }
void __tsan_unaligned_read4(void* p) { report(p, 4, false); }
void __tsan_unaligned_read8(void* p) { report(p, 8, false); }
void __tsan_unaligned_read16(void* p) { report(p, 16, false); }
void __tsan_unaligned_write2(void* p) { report(p, 2, true); }
void __tsan_unaligned_write4(void* p) { report(p, 4, true); }
void __tsan_unaligned_write8(void* p) { report(p, 8, true); }
void __tsan_unaligned_write16(void* p) { report(p, 16, true); }

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
