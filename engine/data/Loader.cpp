#include "engine/data/Loader.h"

#include <chrono>
#include <string>
#include <utility>

#include "common/Error.h"
#include "common/Seconds.h"

namespace lockstep {

Loader::Loader(const ProgramSamples& samples, Order order, BatchPlan plan, int rank, int threads, LoaderPosition start,
               std::optional<int> ahead, const BufferPool::Allocate& allocate, SpanLog* spans, std::size_t most_bytes)
    : samples_(samples),
      ahead_(static_cast<std::uint64_t>(ahead.value_or(ahead_for(threads)))),
      most_bytes_(most_bytes),
      spans_(spans),
      schedule_(order, plan, rank, start) {
  if (threads < 1 || ahead.value_or(1) < 1) throw InternalError("a loader needs a thread and room for a micro-batch");
  for (const Column& column : samples.columns()) {
    buffers_.emplace_back(allocate);
    sample_bytes_ += column.bytes();
  }
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
  }
}

Loader::~Loader() {
  for (std::jthread& thread : threads_) thread.request_stop();
}

MicroBatch Loader::prepare(const RankSchedule::Task& task) {
  MicroBatch batch;
  batch.size = task.slice.size();
  batch.last_of_step = task.last_of_step;
  batch.position = task.position;
  if (batch.size == 0) return batch;
  const std::vector<std::int64_t> samples = schedule_.samples(task);
  std::vector<std::byte*> memory;
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    batch.columns.push_back(buffers_[i].take(samples.size() * samples_.columns()[i].bytes()));
    memory.push_back(batch.columns.back().get());
  }
  const auto begin = std::chrono::steady_clock::now();
  samples_.read(samples, memory, task.position.epoch);
  if (spans_ != nullptr && spans_->on()) {
    spans_->add({.name = "read " + std::to_string(batch.size) + " samples",
                 .kind = SpanKind::kData,
                 .begin = begin,
                 .end = std::chrono::steady_clock::now(),
                 .bytes = batch.size * static_cast<std::int64_t>(sample_bytes_)});
  }
  return batch;
}

// One is always begun: whoever waits for it would wait for ever.
bool Loader::may_go_on() const {
  return taken_ == delivered_ || (taken_ < delivered_ + ahead_ && bytes_ahead_ < most_bytes_);
}

void Loader::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (wanted_.wait(lock, stop, [this] { return may_go_on(); }) && !stop.stop_requested()) {
    const std::uint64_t number = taken_++;
    const RankSchedule::Task task = schedule_.next();
    Result result;
    result.bytes = static_cast<std::size_t>(task.slice.size()) * sample_bytes_;
    bytes_ahead_ += result.bytes;
    lock.unlock();
    try {
      result.batch = prepare(task);
    } catch (...) {
      result.error = std::current_exception();
    }
    lock.lock();
    results_.emplace(number, std::move(result));
    prepared_.notify_one();
  }
}

MicroBatch Loader::next() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  prepared_.wait(lock, [this] { return results_.contains(delivered_); });
  seconds_waited_ += seconds_since(start);
  Result result = std::move(results_.extract(delivered_).mapped());
  ++delivered_;
  bytes_ahead_ -= result.bytes;
  lock.unlock();
  wanted_.notify_all();  // there may be room for several
  if (result.error) std::rethrow_exception(result.error);
  return std::move(result.batch);
}

}  // namespace lockstep
