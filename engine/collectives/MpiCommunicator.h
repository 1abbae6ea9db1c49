// Collectives over MPI, for CPU memory.
#pragma once

#include <mpi.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engine/collectives/Communicator.h"
#include "engine/collectives/MpiSession.h"
#include "engine/collectives/RankOrderedSum.h"

namespace lockstep {

/// Where a collective runs.
enum class MpiMode {
  kInline,      ///< in the calling thread: it is done when the call returns
  kBackground,  ///< in a thread of the communicator's own, in order, while the caller computes
};

/// Overlap pays only with a core to spare for it: background when the host has more cores than its ranks
/// compute on.
MpiMode choose_mpi_mode(int cores, int ranks_on_host, int threads_per_rank);

/// All ranks of a session. In background mode every collective is made by the one worker thread, in the order
/// of the calls, the waiting ones (barrier) too; destruction waits for all of them. A collective that fails
/// throws PeerError from `wait` with the rank, the operation, the count and MPI's own text.
///
/// A rank that fails alone must call `abort`: the others wait for it in their next collective and would for
/// ever.
class MpiCommunicator : public Communicator {
 public:
  /// MPI counts are ints: longer buffers travel in parts.
  static constexpr std::size_t kMaxCount = std::size_t{1} << 30;

  /// The session must outlive the communicator. `max_count`: elements that one MPI call moves at most; only
  /// tests lower it. A collective.
  MpiCommunicator(const MpiSession& session, MpiMode mode, std::size_t max_count = kMaxCount);
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;
  ~MpiCommunicator() override;

  /// From now on sums of float32 and float64 are RankOrderedSum's. Before any collective, on all ranks or on none.
  void sum_in_rank_order() { ordered_.emplace(comm_); }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  [[noreturn]] void abort(int exit_code) override;

 protected:
  std::unique_ptr<Work> do_all_reduce(void* buffer, std::size_t count, DataType type, ReduceOp op) override;
  std::unique_ptr<Work> do_reduce_scatter(const void* buffer, void* output, std::size_t count, DataType type,
                                          ReduceOp op) override;
  std::unique_ptr<Work> do_all_gather(const void* input, void* output, std::size_t count, DataType type) override;
  std::unique_ptr<Work> do_broadcast(void* buffer, std::size_t count, DataType type, int root) override;
  void do_barrier() override;

 private:
  using Task = std::packaged_task<void()>;

  std::unique_ptr<Work> run(Collective operation, std::size_t bytes, std::function<void()> collective);
  template <typename Part>
  void in_parts(std::size_t count, const Part& part) const;
  bool is_ordered(DataType type, ReduceOp op) const;
  void require(int code, const char* operation, std::size_t count) const;
  void work();

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  MpiMode mode_;
  std::size_t max_count_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> queue_;
  std::optional<RankOrderedSum> ordered_;  ///< none: MPI chooses the order
  std::vector<std::byte> apart_;           ///< where a piece is reduced that takes the place of what it came from
  bool closing_ = false;
  std::thread worker_;
};

}  // namespace lockstep
