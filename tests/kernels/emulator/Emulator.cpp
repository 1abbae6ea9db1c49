#include "tests/kernels/emulator/Emulator.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

#include "tests/kernels/emulator/Context.h"
#include "tests/kernels/emulator/GuardedMemory.h"

namespace lockstep::emulator {

namespace {

constexpr unsigned kWarp = 32;

// Enough for kernels with AddressSanitizer's red zones, and for throwing.
class Stack {
 public:
  static constexpr std::size_t kBytes = 64 << 10;
  Stack() : mapping_(mmap(nullptr, kGuard + kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (mapping_ == MAP_FAILED || mprotect(data(), kBytes, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  }
  ~Stack() { munmap(mapping_, kGuard + kBytes); }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  void* data() const { return static_cast<std::byte*>(mapping_) + kGuard; }
  bool is_guard(const void* address) const { return address >= mapping_ && address < data(); }

 private:
  static constexpr std::size_t kGuard = 64 << 10;  // a multiple of any page
  void* mapping_;
};

struct Fiber {
  enum class State { kReady, kAtBlockBarrier, kAtWarpOperation, kDone };
  Context context;
  State state = State::kReady;
  ThreadState thread;
  // How many of the block's barriers it has passed; and a vector clock of __syncwarp: in its own lane's place the
  // stretch between two of them that it is in, counted from 1, in others' the last one that is over for it.
  std::uint32_t block_barriers = 0;
  std::array<std::uint32_t, kWarp> stretches{};
  // What it waits in:
  const char* operation = "";
  std::source_location where;
  bool predicate = false;
  bool is_barrier = false;
  unsigned mask = 0;
  std::uint64_t value = 0;
  // What it gets:
  int count = 0;
  std::array<std::uint64_t, kWarp> gathered{};

  unsigned lane() const { return thread.linear % kWarp; }
};

std::string text(std::source_location where) {
  const std::string file = where.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(where.line());
}

std::string text(const uint3& index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," + std::to_string(index.z) + ")";
}

std::string text(const ThreadState& thread) {
  return "block " + text(thread.block_index) + " thread " + text(thread.thread_index);
}

std::string text(dim3 size) {
  return std::to_string(size.x) + "x" + std::to_string(size.y) + "x" + std::to_string(size.z);
}

// Whether both wait in the same call.
bool same_call(const Fiber& a, const Fiber& b) {
  return a.where.line() == b.where.line() && a.where.column() == b.where.column() &&
         std::strcmp(a.operation, b.operation) == 0 && std::strcmp(a.where.file_name(), b.where.file_name()) == 0;
}

// " at " and the source lines of an instruction, innermost first, where debug information is there.
std::string source_lines(const void* instruction) {
  Dl_info info{};
  if (dladdr(instruction, &info) == 0) return "";
  const auto offset = static_cast<const std::byte*>(instruction) - static_cast<const std::byte*>(info.dli_fbase);
  char command[128];
  std::snprintf(command, sizeof command, "addr2line -i -e /proc/%d/exe 0x%zx 2>/dev/null", getpid(),
                static_cast<std::size_t>(offset));
  const std::unique_ptr<FILE, int (*)(FILE*)> output(popen(command, "r"), &pclose);
  std::string lines;
  for (char line[4200]; output != nullptr && std::fgets(line, sizeof line, output.get()) != nullptr;) {
    const std::string place(line, std::strcspn(line, " \n"));
    if (place.find('?') != std::string::npos || place.ends_with(":0")) continue;
    lines += (lines.empty() ? " at " : " called at ") + place.substr(place.rfind('/') + 1);
  }
  return lines;
}

// One block while it runs.
class Block {
 public:
  Block(dim3 grid, dim3 block, uint3 index, const std::function<void()>& kernel, Schedule schedule)
      : kernel_(kernel),
        fibers_(std::size_t{block.x} * block.y * block.z),
        warps_((fibers_.size() + kWarp - 1) / kWarp),
        random_(schedule.seed + index.x),
        shuffled_(schedule.order == Schedule::Order::kShuffled) {
    for (std::size_t i = 0; i < fibers_.size(); ++i) {
      const auto linear = static_cast<unsigned>(i);
      fibers_[i].thread = {.thread_index = {linear % block.x, linear / block.x % block.y, linear / block.x / block.y},
                           .block_index = index,
                           .block_dim = block,
                           .grid_dim = grid,
                           .linear = linear};
      fibers_[i].stretches[linear % kWarp] = 1;
    }
    std::iota(warps_.begin(), warps_.end(), 0U);
    std::iota(lanes_.begin(), lanes_.end(), 0U);
    if (schedule.order == Schedule::Order::kReverse) {
      std::reverse(warps_.begin(), warps_.end());
      std::reverse(lanes_.begin(), lanes_.end());
    }
  }

  void run();
  Fiber& running() { return *running_; }
  std::uint64_t serial() const { return serial_; }

  // From within a fiber: leaves it until others have come.
  void wait(Fiber::State state) {
    running().state = state;
    Context::change(running().context, scheduler_);
  }

  // From a signal handler on a fiber's behalf: leaves it for ever.
  [[noreturn]] void abandon(const std::string& what, const void* instruction) {
    fault_ = what;
    faulty_instruction_ = instruction;
    Context::change(running().context, scheduler_, true);
    std::abort();
  }

 private:
  static void enter();
  bool run_warp(unsigned warp);
  bool release_warp(unsigned warp);
  bool release_barrier();
  [[noreturn]] void report_deadlock() const;

  const std::function<void()>& kernel_;
  std::vector<Fiber> fibers_;
  std::vector<unsigned> warps_;  // in the order of their turns, as the lanes of each
  std::array<unsigned, kWarp> lanes_{};
  std::mt19937_64 random_;
  bool shuffled_;
  Fiber* running_ = nullptr;
  Context scheduler_;
  std::optional<std::string> fault_;
  const void* faulty_instruction_ = nullptr;
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
  Context::entered();
  Block& block = *running_block;
  try {
    block.kernel_();
    block.running().state = Fiber::State::kDone;
  } catch (const Fault& fault) {
    block.fault_ = fault.what();
  } catch (const std::exception& error) {
    block.fault_ = text(block.running().thread) + ": an exception: " + error.what();
  } catch (...) {
    block.fault_ = text(block.running().thread) + ": an exception";
  }
  Context::change(block.running().context, block.scheduler_, true);
}

void Block::run() {
  for (std::size_t i = 0; i < fibers_.size(); ++i) {
    if (stacks().size() <= i) stacks().push_back(std::make_unique<Stack>());
    fibers_[i].context.start(stacks()[i]->data(), Stack::kBytes, &Block::enter);
  }
  for (;;) {
    if (shuffled_) std::shuffle(warps_.begin(), warps_.end(), random_);
    bool progress = false;
    for (const unsigned warp : warps_) {
      while (run_warp(warp)) {
        progress = true;
        if (shuffled_) break;  // others come in between
      }
    }
    if (progress) continue;
    const auto done = [](const Fiber& fiber) { return fiber.state == Fiber::State::kDone; };
    if (std::all_of(fibers_.begin(), fibers_.end(), done)) return;
    if (!release_barrier()) report_deadlock();
  }
}

// One turn of each lane that need not wait; false if there was none.
bool Block::run_warp(unsigned warp) {
  if (shuffled_) std::shuffle(lanes_.begin(), lanes_.end(), random_);
  bool progress = false;
  for (const unsigned lane : lanes_) {
    const std::size_t i = std::size_t{warp} * kWarp + lane;
    if (i >= fibers_.size() || fibers_[i].state != Fiber::State::kReady) continue;
    progress = true;
    running_ = &fibers_[i];
    Context::change(scheduler_, running_->context);
    if (fault_) throw Fault(*fault_ + (faulty_instruction_ != nullptr ? source_lines(faulty_instruction_) : ""));
  }
  return release_warp(warp) || progress;
}

// The operations whose lanes have come.
bool Block::release_warp(unsigned warp) {
  Fiber* const first = &fibers_[std::size_t{warp} * kWarp];
  Fiber* const last = fibers_.data() + std::min(fibers_.size(), std::size_t{warp + 1} * kWarp);
  bool released = false;
  for (Fiber* fiber = first; fiber != last; ++fiber) {
    if (fiber->state != Fiber::State::kAtWarpOperation) continue;
    std::vector<Fiber*> members;
    for (Fiber* member = first; member != last; ++member) {
      if (member->state == Fiber::State::kAtWarpOperation && member->mask == fiber->mask &&
          same_call(*member, *fiber)) {
        members.push_back(member);
      }
    }
    if (members.size() != static_cast<std::size_t>(std::popcount(fiber->mask))) continue;
    std::array<std::uint64_t, kWarp> values{};
    std::array<std::uint32_t, kWarp> over{};
    for (const Fiber* member : members) {
      values[member->lane()] = member->value;
      for (unsigned lane = 0; lane < kWarp; ++lane) over[lane] = std::max(over[lane], member->stretches[lane]);
    }
    for (Fiber* member : members) {
      member->gathered = values;
      member->state = Fiber::State::kReady;
      if (member->is_barrier) {
        member->stretches = over;
        ++member->stretches[member->lane()];
      }
    }
    released = true;
  }
  return released;
}

bool Block::release_barrier() {
  int count = 0;
  for (const Fiber& fiber : fibers_) {
    if (fiber.state != Fiber::State::kAtBlockBarrier || !same_call(fiber, fibers_.front())) return false;
    count += fiber.predicate ? 1 : 0;
  }
  for (Fiber& fiber : fibers_) {
    fiber.state = Fiber::State::kReady;
    fiber.count = count;
    ++fiber.block_barriers;
  }
  return true;
}

std::string what_it_does(const Fiber& fiber) {
  switch (fiber.state) {
    case Fiber::State::kDone:
      return "has returned";
    case Fiber::State::kReady:
      return "runs";
    case Fiber::State::kAtBlockBarrier:
      return std::string("waits in ") + fiber.operation + " at " + text(fiber.where);
    case Fiber::State::kAtWarpOperation:
      break;
  }
  char mask[32];
  std::snprintf(mask, sizeof mask, " with mask 0x%08x", fiber.mask);
  return std::string("waits in ") + fiber.operation + mask + " at " + text(fiber.where);
}

void Block::report_deadlock() const {
  // One thread of each kind of waiting.
  std::string message = "block " + text(fibers_.front().thread.block_index) + " cannot go on:";
  std::vector<std::string> seen;
  for (const Fiber& fiber : fibers_) {
    const std::string what = what_it_does(fiber);
    if (std::find(seen.begin(), seen.end(), what) != seen.end()) continue;
    seen.push_back(what);
    message += (seen.size() == 1 ? " thread " : "; thread ") + text(fiber.thread.thread_index) + " " + what;
  }
  throw Fault(message);
}

// Signals that a kernel's instruction can raise. Failed checks of -fsanitize=undefined trap: by SIGILL, elsewhere than
// on x86-64 by SIGTRAP.
class SignalHandlers {
 public:
  SignalHandlers() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
      struct sigaction action {};
      action.sa_sigaction = &SignalHandlers::handle;
      action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
      sigaction(kSignals[i], &action, &before_[i]);
    }
    // A handler needs a stack even when a fiber's is used up.
    static const Stack handler_stack;
    const stack_t stack = {.ss_sp = handler_stack.data(), .ss_flags = 0, .ss_size = Stack::kBytes};
    sigaltstack(&stack, &stack_before_);
  }
  ~SignalHandlers() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
    sigaltstack(&stack_before_, nullptr);
  }
  SignalHandlers(const SignalHandlers&) = delete;
  SignalHandlers& operator=(const SignalHandlers&) = delete;

 private:
  static void handle(int signal, siginfo_t* info, void* context) {
    const ThreadState& thread = current();
    running_block->abandon(text(thread) + ": " + describe(signal, *info, *stacks()[thread.linear]),
                           instruction(*static_cast<const ucontext_t*>(context)));
  }

  static std::string describe(int signal, const siginfo_t& info, const Stack& stack) {
    if (signal == SIGILL || signal == SIGTRAP) return "a misaligned access, a bad index or undefined arithmetic";
    if (signal == SIGFPE) return "a division by zero";
    if (info.si_code == SI_KERNEL) return "a misaligned or wild access";  // the CPU does not say where
    if (stack.is_guard(info.si_addr)) return "its stack is used up";
    return "an access out of bounds: " + describe_address(info.si_addr);
  }

  static const void* instruction([[maybe_unused]] const ucontext_t& context) {
#if defined(__x86_64__)
    return reinterpret_cast<const void*>(context.uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
    return reinterpret_cast<const void*>(context.uc_mcontext.pc);
#else
    return nullptr;
#endif
  }

  static constexpr std::array<int, 5> kSignals = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE};
  std::array<struct sigaction, kSignals.size()> before_{};
  stack_t stack_before_{};
};

// What CUDA lets a launch have, for every compute capability since 3.0.
bool can_launch(dim3 grid, dim3 block) {
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  return threads > 0 && block.x <= 1024 && block.y <= 1024 && block.z <= 64 && threads <= 1024 && grid.x > 0 &&
         grid.y > 0 && grid.z > 0 && grid.x <= 0x7fffffffU && grid.y <= 0xffffU && grid.z <= 0xffffU;
}

}  // namespace

void set_schedule(Schedule schedule) { launch_schedule = schedule; }

void launch(dim3 grid, dim3 block, const std::function<void()>& kernel) {
  if (running_block != nullptr) throw Fault(text(current()) + ": a kernel launches another");
  if (!can_launch(grid, block)) throw Fault("a launch of " + text(grid) + " blocks of " + text(block) + " threads");
  const SignalHandlers handlers;
  const struct Running {
    ~Running() { running_block = nullptr; }
  } until_the_end;
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
}

const ThreadState& current() {
  if (running_block == nullptr) throw std::logic_error("threadIdx and its like are there in kernels only");
  return running_block->running().thread;
}

std::uint64_t block_serial() { return running_block->serial(); }

Moment now() {
  const Fiber& fiber = running_block->running();
  return {fiber.thread.linear, fiber.block_barriers, fiber.stretches[fiber.lane()]};
}

bool is_past(const Moment& moment) {
  const Fiber& fiber = running_block->running();
  if (moment.thread == fiber.thread.linear || moment.block_barriers != fiber.block_barriers) return true;
  return moment.thread / kWarp == fiber.thread.linear / kWarp &&
         moment.stretch <= fiber.stretches[moment.thread % kWarp];
}

void fault(const std::string& what, std::source_location where) {
  throw Fault(text(current()) + " at " + text(where) + ": " + what);
}

int block_barrier(const char* name, bool predicate, std::source_location where) {
  Fiber& fiber = running_block->running();
  fiber.operation = name;
  fiber.where = where;
  fiber.predicate = predicate;
  running_block->wait(Fiber::State::kAtBlockBarrier);
  return fiber.count;
}

namespace {

const std::uint64_t* wait_for_lanes(const char* name, bool is_barrier, unsigned mask, std::uint64_t value,
                                    std::source_location where) {
  Fiber& fiber = running_block->running();
  if ((mask >> fiber.lane() & 1U) == 0) fault(std::string(name) + " with a mask that lacks the caller", where);
  fiber.operation = name;
  fiber.where = where;
  fiber.is_barrier = is_barrier;
  fiber.mask = mask;
  fiber.value = value;
  running_block->wait(Fiber::State::kAtWarpOperation);
  return fiber.gathered.data();
}

}  // namespace

const std::uint64_t* warp_exchange(const char* name, unsigned mask, std::uint64_t value, std::source_location where) {
  return wait_for_lanes(name, false, mask, value, where);
}

void warp_barrier(unsigned mask, std::source_location where) { wait_for_lanes("__syncwarp", true, mask, 0, where); }

}  // namespace lockstep::emulator

// The calls of CUDA's runtime that launching code makes: a launch here is over when it returns.
cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "no error"; }
const char* cudaGetErrorName(cudaError_t) { return "cudaSuccess"; }
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t) {
  if (bytes > 0) std::memset(memory, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
  if (bytes > 0) std::memmove(to, from, bytes);
  return cudaSuccess;
}
