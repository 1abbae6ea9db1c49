// Runs CUDA source on the CPU, to find what a GPU would hide: every thread of a block is a fiber, one block at a time.
//
// A kernel compiled with include/cuda_runtime.h in place of CUDA's is an ordinary function; launch() calls it once per
// thread. Threads run until they wait for others, in the order that the Schedule says, so that a result that depends
// on the order shows. What is reported as a Fault, naming block, thread and source line:
// - a barrier that some threads of the block do not reach, or reach at another place in the source;
// - a warp operation whose mask lacks the caller, names lanes that do not come, or differs between lanes; a shuffle
//   that reads a lane outside the mask, or whose width is no power of 2;
// - in shared memory, an index out of bounds, a read of what was not written, and two accesses by different threads,
//   one of them a write and not both atomic, with no barrier of both between them;
// - a misaligned access, and an access outside the memory of GuardedMemory;
// - what GCC's -fsanitize=undefined finds in the kernel: an index out of a local array, a signed overflow;
// - a launch that CUDA would refuse, a launch by a kernel, an exception in a kernel.
// It is stricter than CUDA where code that CUDA lets pass is most likely meant otherwise: threads that have returned do
// not count as having come, and an operation joins only calls from one place in the source.
// Not seen: races on global memory, but where the schedule changes the result (Forms.h compares); calls of one function
// from two places of the kernel, which meet in the same line of that function.
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
  enum class Order {
    kForward,   ///< each warp goes on alone until it is at the block's barrier, the first one first
    kReverse,   ///< the same, the last one first
    kShuffled,  ///< warps and lanes in a random order that changes at every wait
  };
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
/// Of the thread that runs now. Throws std::logic_error outside of kernels.
const ThreadState& current();

/// Identifies the block that runs now, among all of this process.
std::uint64_t block_serial();

/// When a thread of the running block did something, on the clock of barriers.
struct Moment {
  unsigned thread = 0;               ///< its linear index
  std::uint32_t block_barriers = 0;  ///< how many the thread had passed
  std::uint32_t stretch = 0;         ///< between which two __syncwarp of its own it was, counted from 1
};
Moment now();

/// Whether barriers, or being of the same thread, put the moment before now in every schedule.
bool is_past(const Moment& moment);

/// Throws a Fault that begins with where the running thread is.
[[noreturn]] void fault(const std::string& what, std::source_location where);

/// Waits for all threads of the block; returns how many brought `predicate`. `name` is the function's in CUDA.
int block_barrier(const char* name, bool predicate, std::source_location where);

/// Waits until all lanes of `mask` call it by the same `name` from `where`, and gives back what each lane brought; the
/// pointer holds until the thread's next operation.
const std::uint64_t* warp_exchange(const char* name, unsigned mask, std::uint64_t value, std::source_location where);

/// The same, as the barrier that makes memory visible: __syncwarp.
void warp_barrier(unsigned mask, std::source_location where);

}  // namespace lockstep::emulator
