// Micro-batches made by threads while the previous step runs.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "common/SpanLog.h"
#include "engine/data/BufferPool.h"
#include "engine/data/ProgramSamples.h"
#include "engine/data/RankSchedule.h"

namespace lockstep {

/// One micro-batch in memory, 64-byte aligned unless the loader was told how to allocate, ready to be used in place.
/// The memory goes back to the loader's pool when its last owner lets go of it, also after the loader is gone.
struct MicroBatch {
  std::int64_t size = 0;     ///< samples; 0: this rank has no data in this step, and there are no buffers
  bool last_of_step = true;  ///< after this one the optimizer steps
  LoaderPosition position;   ///< of the step it belongs to
  std::vector<std::shared_ptr<std::byte>> columns{};  ///< ProgramSamples::columns, each size × its sizes
};

/// Yields this rank's micro-batches in order (RankSchedule). For one pass, as in evaluation, take
/// plan.steps() steps with an order that does not shuffle.
///
/// Threads prepare up to `ahead` (`ahead_for` unless said) micro-batches beyond the one in use, each as a whole, and
/// they are handed over in order: the result does not depend on the number of threads. Where those beyond the one in
/// use have `most_bytes`, no further one is begun. The samples must outlive the loader. The destructor waits for the
/// micro-batches being prepared, at most one a thread.
class Loader {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 30;
  /// Enough for each thread to be at one while the next lies ready.
  static constexpr int ahead_for(int threads) { return std::max(4, threads + 1); }

  /// InternalError for a plan without samples and for a start that is not in the plan. `spans`: where the making of
  /// each micro-batch is written down while it is on; it must outlive this.
  Loader(const ProgramSamples& samples, Order order, BatchPlan plan, int rank, int threads, LoaderPosition start = {},
         std::optional<int> ahead = {}, const BufferPool::Allocate& allocate = {}, SpanLog* spans = nullptr,
         std::size_t most_bytes = kMostBytes);
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;
  ~Loader();

  /// Called by one thread. Throws what reading the samples threw, in place of the micro-batch where it did.
  MicroBatch next();
  /// Seconds that the caller has waited in `next` so far.
  double seconds_waited() const { return seconds_waited_; }

 private:
  struct Result {
    MicroBatch batch;
    std::exception_ptr error;
    std::size_t bytes = 0;  ///< of the batch, also where an error came in its place
  };

  MicroBatch prepare(const RankSchedule::Task& task);
  bool may_go_on() const;
  void work(const std::stop_token& stop);

  const ProgramSamples& samples_;
  const std::uint64_t ahead_;
  const std::size_t most_bytes_;
  std::size_t sample_bytes_ = 0;
  std::vector<BufferPool> buffers_;  ///< by column
  SpanLog* spans_;
  double seconds_waited_ = 0;

  std::mutex mutex_;
  std::condition_variable_any wanted_;  ///< a thread may take a task
  std::condition_variable prepared_;    ///< a result is there
  RankSchedule schedule_;               ///< its tasks are taken with the lock held
  std::uint64_t taken_ = 0;             ///< tasks given to threads
  std::uint64_t delivered_ = 0;         ///< results given to the caller
  std::size_t bytes_ahead_ = 0;         ///< of tasks that are taken and not delivered
  std::map<std::uint64_t, Result> results_;
  std::vector<std::jthread> threads_;  ///< last: they stop before anything they use goes
};

}  // namespace lockstep
