// Runs CUDA source on the CPU, to find what a GPU would hide: every thread of a block is a fiber, one block at a time.
//
// A kernel compiled with include/cuda_runtime.h in place of CUDA's is an ordinary function; launch() calls it once per
// thread. Threads run until they wait for others, in the order that the Schedule says, so that a result that depends
// on the order shows. What is reported as a Fault, naming block, thread and source line:
// - a barrier that some threads of the block do not reach, or reach at another place in the source;
// - a warp operation whose mask lacks the caller, names lanes that do not come, or differs between lanes; a shuffle
//   that reads a lane outside the mask;
// - in shared memory, an index out of bounds, a read of what was not written, and two accesses by different threads,
//   one of them a write, with no barrier between them;
// - a misaligned access, and an access outside the memory of GuardedMemory.
// Not seen: races on global memory, but where the schedule changes the result.
#pragma once

#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <stdexcept>
#include <string>

namespace lockstep::emulator {

/// A kernel does what it must not.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// In which order the threads of a block, and the blocks of a grid, take their turns.
struct Schedule {
  enum class Order { kForward, kReverse, kShuffled };
  Order order = Order::kForward;
  std::uint64_t seed = 0;  ///< of kShuffled
};

/// For all launches from now on.
void set_schedule(Schedule schedule);

/// Runs `kernel` for every thread of the grid. Throws Fault; the other threads are then abandoned where they are.
void launch(dim3 grid, dim3 block, const std::function<void()>& kernel);

// --- For include/cuda_runtime.h: what a running thread may ask for. ---

struct ThreadState {
  uint3 thread_index, block_index;
  dim3 block_dim, grid_dim;
  unsigned linear = 0;  ///< index in the block
};
/// Of the thread that runs now.
const ThreadState& current();

/// Identifies the block that runs now, among all of this process.
std::uint64_t block_serial();

/// How many barriers of its block, and of its warp, the running thread has passed.
struct Epoch {
  std::uint64_t block = 0, warp = 0;
};
Epoch epoch();

/// Throws a Fault that begins with where the running thread is.
[[noreturn]] void fault(const std::string& what, std::source_location where);

void block_barrier(std::source_location where);

enum class WarpOperation { kBarrier, kExchange };

/// Waits until all lanes of `mask` are at `where`. With kExchange gives back what each lane brought; the pointer holds
/// until the thread's next operation.
const std::uint64_t* warp_exchange(WarpOperation operation, unsigned mask, std::uint64_t value,
                                   std::source_location where);

}  // namespace lockstep::emulator
