#include "tests/support/LateDevice.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "common/Error.h"

namespace lockstep {

namespace {

constexpr c10::DeviceType kType = c10::DeviceType::PrivateUse1;
const c10::Device kPlace(kType, 0);
constexpr c10::StreamId kCompute = 0;
constexpr c10::StreamId kCopy = 1;
constexpr c10::StreamId kSnapshot = 2;
constexpr c10::StreamId kStreams = 3;

struct EventState {
  std::int64_t recorded = 0;  ///< the last version that is enqueued
  std::int64_t done = 0;
  c10::StreamId stream = kCompute;  ///< of the last version
};

/// One of three: work, a record of an event's version, or a wait for it. Never done when it is none.
struct Task {
  std::function<void()> work;
  std::shared_ptr<EventState> record;
  std::shared_ptr<EventState> wait;
  std::int64_t version = 0;
};

struct Block {
  std::size_t size = 0;
  int pool = 0;
  c10::StreamId stream = kCompute;
  std::set<c10::StreamId> others;  ///< that it was made known to
};

/// The streams and the memory. Memory goes back to the system only with the process.
class Runtime {
 public:
  static Runtime& instance() {
    static auto* runtime = new Runtime;
    return *runtime;
  }

  void reset(c10::StreamId eager) {
    const std::lock_guard lock(mutex_);
    for (auto& queue : queues_) queue.clear();
    eager_ = eager;
    host_waits_ = 0;
    used_pools_.clear();
    idle_.clear();
    pending_.clear();
    reserved_ = 0;
    peak_ = 0;
  }

  void enqueue(c10::StreamId stream, Task task) {
    const std::lock_guard lock(mutex_);
    queues_[stream].push_back(std::move(task));
    advance_eager();
  }

  void record(const std::shared_ptr<EventState>& event, c10::StreamId stream) {
    const std::lock_guard lock(mutex_);
    event->stream = stream;
    enqueue(stream, {.work = {}, .record = event, .wait = {}, .version = ++event->recorded});
  }

  void block(const std::shared_ptr<EventState>& event, c10::StreamId stream) {
    const std::lock_guard lock(mutex_);
    if (event->done == event->recorded) return;  // of one that was never recorded, too
    enqueue(stream, {.work = {}, .record = {}, .wait = event, .version = event->recorded});
  }

  bool query(const std::shared_ptr<EventState>& event) {
    const std::lock_guard lock(mutex_);
    const bool done = event->done == event->recorded;
    if (!done) run_to(*event, event->recorded);  // the next question finds it
    return done;
  }

  void synchronize(const std::shared_ptr<EventState>& event) {
    const std::lock_guard lock(mutex_);
    ++host_waits_;
    if (!run_to(*event, event->recorded)) fail();
  }

  void synchronize(c10::StreamId stream) {
    const std::lock_guard lock(mutex_);
    ++host_waits_;
    if (!run(stream)) fail();
  }

  bool query(c10::StreamId stream) {
    const std::lock_guard lock(mutex_);
    return run(stream);
  }

  int host_waits() {
    const std::lock_guard lock(mutex_);
    return host_waits_;
  }

  std::int64_t peak() {
    const std::lock_guard lock(mutex_);
    return peak_;
  }

  void* allocate(std::size_t bytes, c10::StreamId stream) {
    const std::lock_guard lock(mutex_);
    std::erase_if(pending_, [&](const auto& freed) {
      const auto& [memory, events] = freed;
      if (std::ranges::any_of(events, [](const auto& event) { return event->done == 0; })) return false;
      give(memory);
      return true;
    });
    const std::size_t size = (bytes + 511) / 512 * 512;
    const int pool = used_pools_.empty() || stream != kCompute ? 0 : used_pools_.back();
    auto& idle = idle_[{pool, stream}];
    const auto found = idle.lower_bound(size);
    if (found != idle.end()) {
      void* memory = found->second;
      idle.erase(found);
      return memory;
    }
    void* memory = ::operator new(size);
    blocks_[memory] = {.size = size, .pool = pool, .stream = stream, .others = {}};
    reserved_ += static_cast<std::int64_t>(size);
    peak_ = std::max(peak_, reserved_);
    return memory;
  }

  void free(void* memory) {
    const std::lock_guard lock(mutex_);
    Block& block = blocks_.at(memory);
    std::vector<std::shared_ptr<EventState>> events;
    for (const c10::StreamId other : std::exchange(block.others, {})) {
      events.push_back(std::make_shared<EventState>());
      record(events.back(), other);
    }
    if (events.empty()) return give(memory);
    pending_.emplace_back(memory, std::move(events));
  }

  void make_known(void* memory, c10::StreamId stream) {
    const std::lock_guard lock(mutex_);
    Block& block = blocks_.at(memory);
    if (stream != block.stream) block.others.insert(stream);
  }

  void give_idle_back() {
    const std::lock_guard lock(mutex_);
    for (c10::StreamId stream = 0; stream < kStreams; ++stream) synchronize(stream);
    for (auto& [place, idle] : idle_) {
      if (place.first != 0) continue;
      for (const auto& [size, memory] : idle) reserved_ -= static_cast<std::int64_t>(size);
      idle.clear();
    }
  }

  int new_pool() {
    const std::lock_guard lock(mutex_);
    return ++pools_;
  }
  void use_pool(int pool) {
    const std::lock_guard lock(mutex_);
    used_pools_.push_back(pool);
  }
  void leave_pool() {
    const std::lock_guard lock(mutex_);
    used_pools_.pop_back();
  }

 private:
  [[noreturn]] static void fail() { throw std::logic_error("the host waits for ever, without a deadline"); }

  void give(void* memory) {
    const Block& block = blocks_.at(memory);
    idle_[{block.pool, block.stream}].emplace(block.size, memory);
  }

  // Runs the stream's next task, and what it waits for; says whether it could. `alone`: without running other streams.
  bool step(c10::StreamId stream, bool alone) {
    Task& next = queues_[stream].front();
    if (next.wait) {
      if (next.wait->done < next.version && (alone || !run_to(*next.wait, next.version))) return false;
    } else if (next.record) {
      next.record->done = std::max(next.record->done, next.version);
    } else if (next.work) {
      const std::function<void()> work = std::move(next.work);
      queues_[stream].pop_front();
      work();
      return true;
    } else {
      return false;
    }
    queues_[stream].pop_front();
    return true;
  }

  bool run(c10::StreamId stream) {
    while (!queues_[stream].empty()) {
      if (!step(stream, false)) return false;
    }
    advance_eager();
    return true;
  }

  bool run_to(const EventState& event, std::int64_t version) {
    const c10::StreamId stream = event.stream;
    while (event.done < version && !queues_[stream].empty() && step(stream, false)) {
    }
    return event.done >= version;
  }

  void advance_eager() {
    while (!queues_[eager_].empty() && step(eager_, true)) {
    }
  }

  std::recursive_mutex mutex_;
  std::array<std::deque<Task>, kStreams> queues_;
  c10::StreamId eager_ = kCopy;
  int host_waits_ = 0;
  std::map<void*, Block> blocks_;
  std::map<std::pair<int, c10::StreamId>, std::multimap<std::size_t, void*>> idle_;  ///< by pool and stream
  std::vector<std::pair<void*, std::vector<std::shared_ptr<EventState>>>> pending_;  ///< freed, but used elsewhere
  std::vector<int> used_pools_;
  int pools_ = 0;
  std::int64_t reserved_ = 0;
  std::int64_t peak_ = 0;
};

Runtime& runtime() { return Runtime::instance(); }

thread_local c10::StreamId current = kCompute;

class Guard final : public c10::impl::DeviceGuardImplInterface {
 public:
  static constexpr c10::DeviceType static_type = kType;
  explicit Guard(c10::DeviceType = kType) {}

  c10::DeviceType type() const override { return kType; }
  c10::Device exchangeDevice(c10::Device) const override { return kPlace; }
  c10::Device getDevice() const override { return kPlace; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  c10::Stream getStream(c10::Device) const override { return stream(current); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream(kCompute); }
  c10::Stream exchangeStream(c10::Stream given) const override { return stream(std::exchange(current, given.id())); }

  void record(void** event, const c10::Stream& on, const c10::DeviceIndex, const c10::EventFlag) const override {
    if (*event == nullptr) *event = new std::shared_ptr<EventState>(std::make_shared<EventState>());
    runtime().record(state(*event), on.id());
  }
  void block(void* event, const c10::Stream& on) const override {
    if (event != nullptr) runtime().block(state(event), on.id());
  }
  bool queryEvent(void* event) const override { return event == nullptr || runtime().query(state(event)); }
  void synchronizeEvent(void* event) const override {
    if (event != nullptr) runtime().synchronize(state(event));
  }
  void destroyEvent(void* event, const c10::DeviceIndex) const noexcept override {
    delete static_cast<std::shared_ptr<EventState>*>(event);
  }
  bool queryStream(const c10::Stream& asked) const override { return runtime().query(asked.id()); }
  void synchronizeStream(const c10::Stream& asked) const override { runtime().synchronize(asked.id()); }
  void recordDataPtrOnStream(const c10::DataPtr& memory, const c10::Stream& on) const override {
    if (memory.get() != nullptr) runtime().make_known(memory.get(), on.id());
  }

 private:
  static c10::Stream stream(c10::StreamId id) { return c10::Stream(c10::Stream::UNSAFE, kPlace, id); }
  static const std::shared_ptr<EventState>& state(void* event) {
    return *static_cast<std::shared_ptr<EventState>*>(event);
  }
};

const c10::impl::DeviceGuardImplRegistrar guard_registrar(kType, new Guard);

class Allocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* memory = bytes == 0 ? nullptr : runtime().allocate(bytes, current);
    return {memory, memory, &free, kPlace};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }

 private:
  static void free(void* memory) {
    if (memory != nullptr) runtime().free(memory);
  }
};

Allocator device_allocator;

/// PyTorch's own pinned memory is not used again before the copies of it are done: they own it.
class PinnedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override { return c10::GetCPUAllocator()->allocate(bytes); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
};

PinnedAllocator pinned_allocator;

class Hooks final : public at::PrivateUse1HooksInterface {
 public:
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_allocator; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    return at::detail::getDefaultCPUGenerator();
  }
};

[[maybe_unused]] const bool hooks_registered = [] {
  c10::register_privateuse1_backend("late");
  at::RegisterPrivateUse1HooksInterface(new Hooks);
  return true;
}();

/// Buffers of LateDevice::pinned_memory: copies of them do not own them.
class PinnedBuffers {
 public:
  std::byte* make(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    buffers_.push_back(std::make_unique<std::vector<std::byte>>(bytes));
    return buffers_.back()->data();
  }
  bool hold(const void* memory) {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(buffers_, [memory](const auto& buffer) {
      return memory >= buffer->data() && memory < buffer->data() + buffer->size();
    });
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<std::vector<std::byte>>> buffers_;
};

PinnedBuffers& pinned_buffers() {
  static auto* buffers = new PinnedBuffers;
  return *buffers;
}

// The same memory as a tensor of the CPU.
at::Tensor seen_by_cpu(const at::Tensor& tensor) {
  return at::from_blob(tensor.mutable_data_ptr(), tensor.sizes(), tensor.strides(),
                       at::TensorOptions(tensor.scalar_type()));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  at::Tensor source = from.is_cpu() && !pinned_buffers().hold(from.const_data_ptr()) ? from : seen_by_cpu(from);
  if (from.is_cpu() && !non_blocking) source = from.clone();
  const at::Tensor target = to.is_cpu() ? to : seen_by_cpu(to);
  LateDevice::enqueue([source, target] {
    const at::AutoDispatchBelowADInplaceOrView no_autograd;
    target.copy_(source);
  });
  if (to.is_cpu() && !non_blocking) runtime().synchronize(current);
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (to.sizes() != from.sizes()) to.resize_(from.sizes());
  return copy_from(from, to, false);
}

at::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(sizes, &device_allocator, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   type.value_or(at::kFloat), format);
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides, std::optional<at::ScalarType> type,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(
      sizes, strides, &device_allocator, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), type.value_or(at::kFloat));
}

void on_the_cpu(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  at::native::cpu_fallback(operation, stack);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("as_strided", &at::native::as_strided_tensorimpl);
  library.impl("view", &at::native::view);
  library.impl("resize_", &at::native::resize_);
}

class LateGraph : public CapturedWork {
 public:
  explicit LateGraph(std::function<void()> enqueue) : enqueue_(std::move(enqueue)), pool_(runtime().new_pool()) {}
  void replay() override { beside(enqueue_); }
  void beside(const std::function<void()>& work) override {
    runtime().use_pool(pool_);
    try {
      work();
    } catch (...) {
      runtime().leave_pool();
      throw;
    }
    runtime().leave_pool();
  }

 private:
  std::function<void()> enqueue_;
  int pool_;
};

}  // namespace

LateDevice::LateDevice(Eager eager) { runtime().reset(eager == Eager::kCopy ? kCopy : kCompute); }

LateDevice::~LateDevice() { runtime().reset(kCopy); }

c10::Device LateDevice::place() const { return kPlace; }

std::int64_t LateDevice::peak_memory() const { return runtime().peak(); }

std::optional<c10::Stream> LateDevice::copy_stream() const { return c10::Stream(c10::Stream::UNSAFE, kPlace, kCopy); }

std::optional<c10::Stream> LateDevice::snapshot_stream() const {
  return c10::Stream(c10::Stream::UNSAFE, kPlace, kSnapshot);
}

std::shared_ptr<std::byte> LateDevice::pinned_memory(std::size_t bytes) const {
  return {pinned_buffers().make(bytes), [bytes](std::byte* freed) {
            std::memset(freed, 0x7e, bytes);  // and kept: what copies it too late finds this
          }};
}

std::string LateDevice::watch(const std::function<void()>& enqueue) {
  enqueue();
  return "";
}

std::unique_ptr<CapturedWork> LateDevice::capture(const std::function<void()>& enqueue) {
  runtime().give_idle_back();
  return std::make_unique<LateGraph>(enqueue);
}

void LateDevice::enqueue(std::function<void()> work) {
  runtime().enqueue(current, {.work = std::move(work), .record = {}, .wait = {}, .version = 0});
}

void LateDevice::get_stuck() { runtime().enqueue(current, {}); }

void LateDevice::settle() { runtime().query(current); }

int LateDevice::host_waits() { return runtime().host_waits(); }

float* LateDevice::memory(const at::Tensor& tensor) { return static_cast<float*>(tensor.mutable_data_ptr()); }

}  // namespace lockstep
