#include "engine/data/Loader.h"

#include <chrono>
#include <new>
#include <utility>

#include "common/Error.h"

namespace lockstep {

namespace {

constexpr std::align_val_t kAlignment{64};

std::shared_ptr<std::byte> buffer(std::int64_t size) {
  auto* memory = static_cast<std::byte*>(::operator new(static_cast<std::size_t>(size), kAlignment));
  return {memory, [](std::byte* owned) { ::operator delete(owned, kAlignment); }};
}

std::int64_t product(const std::vector<std::int64_t>& sizes) {
  std::int64_t product = 1;
  for (const std::int64_t size : sizes) product *= size;
  return product;
}

}  // namespace

Loader::Loader(const Dataset& dataset, Order order, BatchPlan plan, int rank, Precision precision, int threads,
               LoaderPosition start, int ahead)
    : dataset_(dataset),
      order_(order),
      plan_(plan),
      rank_(rank),
      precision_(precision),
      ahead_(static_cast<std::uint64_t>(ahead)),
      next_step_(start) {
  if (plan_.steps() == 0 || threads < 1 || ahead < 1) throw InternalError("a loader needs samples and a thread");
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wanted_.notify_all();
}

// Called with the lock held.
Loader::Task Loader::take_task() {
  if (tasks_.empty()) {
    for (const Slice& slice : plan_.micro_batches(next_step_.step, rank_)) {
      tasks_.push_back({.slice = slice, .last_of_step = false, .position = next_step_});
    }
    if (tasks_.empty()) tasks_.push_back({.slice = {}, .last_of_step = true, .position = next_step_});
    tasks_.back().last_of_step = true;
    if (++next_step_.step == plan_.steps()) next_step_ = {next_step_.epoch + 1, 0};
  }
  const Task task = tasks_.front();
  tasks_.pop_front();
  return task;
}

Loader::Result Loader::prepare(const Task& task) const {
  Result result;
  result.batch.size = task.slice.size();
  result.batch.last_of_step = task.last_of_step;
  result.batch.position = task.position;
  if (task.slice.size() == 0) return result;
  try {
    std::vector<std::int64_t> samples;
    for (std::int64_t position = task.slice.begin; position < task.slice.end; ++position) {
      samples.push_back(order_(task.position.epoch, position));
    }
    const SampleShape& shape = dataset_.shape();
    const std::int64_t real = precision_ == Precision::kFp64 ? 8 : 4;
    const std::int64_t target = shape.class_labels ? 8 : real;
    result.batch.inputs = buffer(result.batch.size * product(shape.input) * real);
    result.batch.targets = buffer(result.batch.size * product(shape.target) * target);
    void* inputs = result.batch.inputs.get();
    if (precision_ == Precision::kFp64) {
      dataset_.read(samples, static_cast<double*>(inputs), result.batch.targets.get());
    } else {
      dataset_.read(samples, static_cast<float*>(inputs), result.batch.targets.get());
    }
  } catch (...) {
    result.error = std::current_exception();
  }
  return result;
}

void Loader::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wanted_.wait(lock, [this] { return closing_ || taken_ < delivered_ + ahead_; });
    if (closing_) return;
    const std::uint64_t number = taken_++;
    const Task task = take_task();
    lock.unlock();
    Result result = prepare(task);
    lock.lock();
    results_.emplace(number, std::move(result));
    prepared_.notify_one();
  }
}

MicroBatch Loader::next() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  prepared_.wait(lock, [this] { return results_.contains(delivered_); });
  seconds_waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  Result result = std::move(results_.extract(delivered_).mapped());
  ++delivered_;
  lock.unlock();
  wanted_.notify_one();
  if (result.error) std::rethrow_exception(result.error);
  return std::move(result.batch);
}

}  // namespace lockstep
