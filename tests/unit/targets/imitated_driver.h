// A library with the name and the functions of NVIDIA's driver that works in host memory: what the cuda
// target asks of the driver is tested without a GPU. Its stream does nothing until it is waited for, so that
// a wait that is missing shows. Kernels do not run; their launches are kept.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace quire::imitated {

struct Launch {
  unsigned grid, threads, shared_bytes;
  const void* params;  // the first bytes are a copy
  std::vector<unsigned char> params_head;
  const void* counters;
};

struct Driver {
  std::vector<Launch> launches;     // that ran
  std::size_t allocated_bytes = 0;  // now
  std::size_t memory_bytes = 64u << 20;
  int num_buffers = 0, num_modules = 0, num_streams = 0, num_events = 0, num_graphs = 0, num_contexts = 0;
  int num_stream_waits = 0;  // for everything
  int num_overlapping = 0;   // launches that may start before the one ahead has ended
  int sm = 90;
  int device_of_context = 40;  // of all contexts
  int version = 13000;
  std::string failing_function;  // returns CUDA_ERROR_ILLEGAL_ADDRESS
};

Driver& driver();

// A stream as a caller makes it.
void make_stream(void** stream);
void run_stream(void* stream);  // all that is in it
void destroy_stream(void* stream);

}  // namespace quire::imitated
