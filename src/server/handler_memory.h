// Memory for the operations that coroutines begin.
#pragma once

#include <boost/asio/detail/recycling_allocator.hpp>
#include <boost/asio/detail/thread_info_base.hpp>
#include <cstddef>

namespace quire {

// Asio starts what a coroutine awaits in a function that may not throw: where there is no memory for the
// operation, the process ends. But each thread of Asio keeps the block that an operation has given back for
// the next one. This puts a block there that is large enough, or throws std::bad_alloc, which a coroutine
// survives. To be called by a coroutine right before it begins an operation; costs next to nothing where the
// block is there already.
inline void reserve_handler_memory() {
  using boost::asio::detail::recycling_allocator;
  using Function =
      recycling_allocator<std::byte, boost::asio::detail::thread_info_base::executor_function_tag>;
  constexpr std::size_t kBytes = 512;  // the largest, of a write in many pieces, takes about 300
  recycling_allocator<std::byte> operations;
  operations.deallocate(operations.allocate(kBytes), kBytes);
  Function functions;  // what is posted has a part in either block
  functions.deallocate(functions.allocate(kBytes), kBytes);
}

}  // namespace quire
