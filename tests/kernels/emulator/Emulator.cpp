#include "tests/kernels/emulator/Emulator.h"

#include <cuda_runtime_api.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

#include "tests/kernels/emulator/GuardedMemory.h"

namespace lockstep::emulator {

namespace {

constexpr unsigned kWarp = 32;

class Stack {
 public:
  Stack() : memory_(kBytes, GuardedMemory::Side::kStart) {}
  void* data() const { return memory_.data(); }
  static constexpr std::size_t kBytes = 64 << 10;

 private:
  GuardedMemory memory_;
};

struct Fiber {
  enum class State { kReady, kAtBarrier, kAtWarpOperation, kDone };
  ucontext_t context{};
  State state = State::kReady;
  ThreadState thread;
  Epoch epoch;
  std::source_location where;
  // At a warp operation:
  WarpOperation operation{};
  unsigned mask = 0;
  std::uint64_t value = 0;
  std::array<std::uint64_t, kWarp> gathered{};
};

std::string text(std::source_location where) {
  const std::string file = where.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(where.line());
}

std::string text(const uint3& index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," + std::to_string(index.z) + ")";
}

// One block while it runs.
class Block {
 public:
  Block(dim3 grid, dim3 block, uint3 index, const std::function<void()>& kernel, Schedule schedule)
      : kernel_(kernel),
        fibers_(std::size_t{block.x} * block.y * block.z),
        order_(fibers_.size()),
        random_(schedule.seed) {
    for (std::size_t i = 0; i < fibers_.size(); ++i) {
      const auto linear = static_cast<unsigned>(i);
      fibers_[i].thread = {.thread_index = {linear % block.x, linear / block.x % block.y, linear / block.x / block.y},
                           .block_index = index,
                           .block_dim = block,
                           .grid_dim = grid,
                           .linear = linear};
    }
    std::iota(order_.begin(), order_.end(), 0U);
    if (schedule.order == Schedule::Order::kReverse) std::reverse(order_.begin(), order_.end());
    shuffle_ = schedule.order == Schedule::Order::kShuffled;
    random_.discard(index.x);
  }

  void run();
  Fiber& running() { return fibers_[running_]; }
  std::uint64_t serial() const { return serial_; }

  // From within a fiber: leaves it until others have come.
  void wait(Fiber::State state, std::source_location where) {
    Fiber& fiber = running();
    fiber.state = state;
    fiber.where = where;
    swapcontext(&fiber.context, &scheduler_);
  }

  // From a fiber, or from a signal handler on its stack: leaves it for ever.
  [[noreturn]] void abandon(const std::string& what) {
    fault_ = what;
    setcontext(&scheduler_);
    std::abort();
  }

 private:
  static void enter();
  void start(std::size_t i);
  bool release_barrier();
  bool release_warps();
  [[noreturn]] void report_deadlock() const;
  std::string describe(const Fiber& fiber) const;

  const std::function<void()>& kernel_;
  std::vector<Fiber> fibers_;
  std::vector<unsigned> order_;
  std::mt19937_64 random_;
  bool shuffle_ = false;
  std::size_t running_ = 0;
  ucontext_t scheduler_{};
  std::optional<std::string> fault_;
  std::uint64_t serial_ = next_serial();

  static std::uint64_t next_serial() {
    static std::uint64_t serial = 0;
    return ++serial;
  }
};

Block* running_block = nullptr;
Schedule launch_schedule;

std::vector<std::unique_ptr<Stack>>& stacks() {
  static std::vector<std::unique_ptr<Stack>> all;
  return all;
}

void Block::enter() {
  Block& block = *running_block;
  try {
    block.kernel_();
    block.running().state = Fiber::State::kDone;
  } catch (const std::exception& error) {
    block.fault_ = error.what();
  }
  setcontext(&block.scheduler_);
}

void Block::start(std::size_t i) {
  while (stacks().size() <= i) stacks().push_back(std::make_unique<Stack>());
  ucontext_t& context = fibers_[i].context;
  getcontext(&context);
  context.uc_stack = {.ss_sp = stacks()[i]->data(), .ss_flags = 0, .ss_size = Stack::kBytes};
  context.uc_link = nullptr;
  makecontext(&context, &Block::enter, 0);
}

void Block::run() {
  for (std::size_t i = 0; i < fibers_.size(); ++i) start(i);
  for (;;) {
    if (shuffle_) std::shuffle(order_.begin(), order_.end(), random_);
    bool progress = false;
    for (const unsigned i : order_) {
      if (fibers_[i].state != Fiber::State::kReady) continue;
      progress = true;
      running_ = i;
      swapcontext(&scheduler_, &fibers_[i].context);
      if (fault_) throw Fault(*fault_);
    }
    if (progress) continue;
    if (std::all_of(fibers_.begin(), fibers_.end(), [](const Fiber& f) { return f.state == Fiber::State::kDone; })) {
      return;
    }
    if (!release_warps() && !release_barrier()) report_deadlock();
  }
}

bool Block::release_barrier() {
  for (const Fiber& fiber : fibers_) {
    if (fiber.state != Fiber::State::kAtBarrier) return false;
    if (text(fiber.where) != text(fibers_.front().where)) return false;
  }
  for (Fiber& fiber : fibers_) {
    fiber.state = Fiber::State::kReady;
    ++fiber.epoch.block;
  }
  return true;
}

// All operations whose lanes have come.
bool Block::release_warps() {
  bool released = false;
  for (std::size_t first = 0; first < fibers_.size(); first += kWarp) {
    const std::size_t lanes = std::min<std::size_t>(kWarp, fibers_.size() - first);
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const Fiber& fiber = fibers_[first + lane];
      if (fiber.state != Fiber::State::kAtWarpOperation) continue;
      const unsigned mask = fiber.mask;
      std::vector<Fiber*> members;
      std::array<std::uint64_t, kWarp> values{};
      bool complete = true;
      for (std::size_t other = 0; other < kWarp; ++other) {
        if ((mask >> other & 1U) == 0) continue;
        if (other >= lanes) {
          complete = false;
          break;
        }
        Fiber& member = fibers_[first + other];
        complete = complete && member.state == Fiber::State::kAtWarpOperation && member.mask == mask &&
                   member.operation == fiber.operation && text(member.where) == text(fiber.where);
        values[other] = member.value;
        members.push_back(&member);
      }
      if (!complete) continue;
      for (Fiber* member : members) {
        member->gathered = values;
        member->state = Fiber::State::kReady;
        if (fiber.operation == WarpOperation::kBarrier) ++member->epoch.warp;
      }
      released = true;
      break;  // the states have changed; the next round sees the rest of this warp
    }
  }
  return released;
}

std::string Block::describe(const Fiber& fiber) const {
  std::string place = "thread " + text(fiber.thread.thread_index) + " ";
  switch (fiber.state) {
    case Fiber::State::kDone:
      return place + "has returned";
    case Fiber::State::kAtBarrier:
      return place + "waits in __syncthreads at " + text(fiber.where);
    case Fiber::State::kAtWarpOperation: {
      char mask[16];
      std::snprintf(mask, sizeof mask, "0x%08x", fiber.mask);
      return place + "waits in a warp operation with mask " + mask + " at " + text(fiber.where);
    }
    case Fiber::State::kReady:
      return place + "runs";
  }
  return place;
}

void Block::report_deadlock() const {
  // One thread of each kind of waiting.
  std::string message = "block " + text(fibers_.front().thread.block_index) + " cannot go on:";
  std::vector<std::string> seen;
  for (const Fiber& fiber : fibers_) {
    const std::string what = describe(fiber);
    const std::string kind = what.substr(what.find(')'));
    if (std::find(seen.begin(), seen.end(), kind) != seen.end()) continue;
    seen.push_back(kind);
    message += (seen.size() == 1 ? " " : "; ") + what;
  }
  throw Fault(message);
}

// Signals that an access can raise. UBSan's checks trap by SIGILL.
class SignalHandlers {
 public:
  SignalHandlers() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
      struct sigaction action {};
      action.sa_sigaction = &SignalHandlers::handle;
      action.sa_flags = SA_SIGINFO | SA_ONSTACK;
      sigaction(kSignals[i], &action, &before_[i]);
    }
    // A handler needs a stack even when a fiber's is used up.
    const stack_t stack = {.ss_sp = stack_.data(), .ss_flags = 0, .ss_size = Stack::kBytes};
    sigaltstack(&stack, &stack_before_);
  }
  ~SignalHandlers() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
    sigaltstack(&stack_before_, nullptr);
  }
  SignalHandlers(const SignalHandlers&) = delete;
  SignalHandlers& operator=(const SignalHandlers&) = delete;

 private:
  static void handle(int signal, siginfo_t* info, void*) {
    const Fiber& fiber = running_block->running();
    std::string what = signal == SIGILL             ? "a misaligned access or undefined arithmetic"
                       : info->si_code == SI_KERNEL ? "a misaligned or wild access"
                                                    : "an access out of bounds: " + describe_address(info->si_addr);
    running_block->abandon("block " + text(fiber.thread.block_index) + " thread " + text(fiber.thread.thread_index) +
                           ": " + what);
  }

  static constexpr std::array<int, 3> kSignals = {SIGSEGV, SIGBUS, SIGILL};
  std::array<struct sigaction, 3> before_{};
  Stack stack_;
  stack_t stack_before_{};
};

}  // namespace

void set_schedule(Schedule schedule) { launch_schedule = schedule; }

void launch(dim3 grid, dim3 block, const std::function<void()>& kernel) {
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > 1024 || grid.x == 0 || grid.y == 0 || grid.z == 0) {
    throw Fault("a launch of " + std::to_string(grid.x) + "x" + std::to_string(grid.y) + "x" + std::to_string(grid.z) +
                " blocks of " + std::to_string(threads) + " threads");
  }
  const SignalHandlers handlers;
  std::vector<uint3> blocks;
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) blocks.push_back({x, y, z});
    }
  }
  if (launch_schedule.order == Schedule::Order::kReverse) std::reverse(blocks.begin(), blocks.end());
  if (launch_schedule.order == Schedule::Order::kShuffled) {
    std::shuffle(blocks.begin(), blocks.end(), std::mt19937_64(launch_schedule.seed));
  }
  for (const uint3& index : blocks) {
    Block running(grid, block, index, kernel, launch_schedule);
    running_block = &running;
    running.run();
  }
  running_block = nullptr;
}

const ThreadState& current() { return running_block->running().thread; }
std::uint64_t block_serial() { return running_block->serial(); }
Epoch epoch() { return running_block->running().epoch; }

void fault(const std::string& what, std::source_location where) {
  throw Fault("block " + text(current().block_index) + " thread " + text(current().thread_index) + " at " +
              text(where) + ": " + what);
}

void block_barrier(std::source_location where) { running_block->wait(Fiber::State::kAtBarrier, where); }

const std::uint64_t* warp_exchange(WarpOperation operation, unsigned mask, std::uint64_t value,
                                   std::source_location where) {
  Fiber& fiber = running_block->running();
  if ((mask >> (fiber.thread.linear % kWarp) & 1U) == 0) fault("a warp operation whose mask lacks the caller", where);
  fiber.operation = operation;
  fiber.mask = mask;
  fiber.value = value;
  running_block->wait(Fiber::State::kAtWarpOperation, where);
  return fiber.gathered.data();
}

}  // namespace lockstep::emulator

// The calls of CUDA's runtime that launching code makes: a launch here is over when it returns.
cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "no error"; }
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t) {
  std::memset(memory, value, bytes);
  return cudaSuccess;
}
