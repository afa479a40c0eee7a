// What a compiled NVIDIA kernel is made of: instructions counted in its machine code, resources from the
// compiler's log.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace quire {

// Opcodes of the machine code, the low 12 bits of each 16-byte instruction. Found by compiling a kernel with
// one such instruction and the same without it.
enum SassOpcode : unsigned {
  kHmma = 0x23c,     // mma.sync on f16 and bf16
  kHgmma = 0x9f0,    // wgmma
  kLdsm = 0x83b,     // ldmatrix
  kLdgsts = 0xfae,   // cp.async
  kUblkcp = 0x3ba,   // cp.async.bulk
  kUtmaldg = 0x5b4,  // cp.async.bulk.tensor
};

// Number of instructions by opcode in section .text.<function> of a cubin, an ELF file of 64 bits. Throws
// Error{kCorruptFile} if it is no such file or has no such section.
std::map<unsigned, int> count_opcodes(std::string_view cubin, const std::string& function);

// Of the log's one kernel (--ptxas-options=-v). Throws Error{kCorruptFile} if the log does not say.
struct KernelResources {
  int num_registers = 0;
  int spill_store_bytes = 0, spill_load_bytes = 0;
};
KernelResources parse_resources(const std::string& log);

}  // namespace quire
