#include "engine/collectives/MpiCommunicator.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/Error.h"

namespace lockstep {

namespace {

MPI_Datatype mpi_type(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return MPI_FLOAT;
    case DataType::kFloat64:
      return MPI_DOUBLE;
    case DataType::kInt64:
      return MPI_INT64_T;
    case DataType::kByte:
      return MPI_UNSIGNED_CHAR;
  }
  throw InternalError("unknown data type");
}

MPI_Op mpi_op(ReduceOp op) { return op == ReduceOp::kSum ? MPI_SUM : MPI_MAX; }

class FutureWork : public Work {
 public:
  explicit FutureWork(std::future<void> future) : future_(std::move(future)) {}
  ~FutureWork() override {
    if (future_.valid()) future_.wait();
  }
  void wait() override {
    if (future_.valid()) future_.get();
  }

 private:
  std::future<void> future_;
};

}  // namespace

MpiMode choose_mpi_mode(int cores, int ranks_on_host, int threads_per_rank) {
  return cores > ranks_on_host * threads_per_rank ? MpiMode::kBackground : MpiMode::kInline;
}

MpiCommunicator::MpiCommunicator(const MpiSession& session, MpiMode mode, std::size_t max_count)
    : mode_(mode), max_count_(max_count) {
  MPI_Comm_dup(session.ranks(), &comm_);
  MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
  if (mode_ == MpiMode::kBackground) worker_ = std::thread(&MpiCommunicator::work, this);
}

MpiCommunicator::~MpiCommunicator() {
  if (worker_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    changed_.notify_one();
    worker_.join();
  }
  int ended = 0;  // by a program that uses MPI itself
  MPI_Finalized(&ended);
  if (ended == 0) MPI_Comm_free(&comm_);
}

void MpiCommunicator::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
}

std::unique_ptr<Work> MpiCommunicator::run(Collective operation, std::size_t bytes, std::function<void()> collective) {
  Task task([this, operation, bytes, collective = std::move(collective)] {
    const auto begin = SpanLog::Clock::now();
    collective();
    if (spans() == nullptr || !spans()->on()) return;
    spans()->add({.name = name_of(operation),
                  .kind = SpanKind::kCommunication,
                  .begin = begin,
                  .end = SpanLog::Clock::now(),
                  .bytes = static_cast<std::int64_t>(bytes)});
  });
  auto result = std::make_unique<FutureWork>(task.get_future());
  if (mode_ == MpiMode::kInline) {
    task();
  } else {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(task));
    }
    changed_.notify_one();
  }
  return result;
}

void MpiCommunicator::require(int code, const char* operation, std::size_t count) const {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw PeerError("rank " + std::to_string(rank_) + ": " + operation + " of " + std::to_string(count) +
                  " elements failed: " + std::string(text, static_cast<std::size_t>(length)));
}

// Calls `part(first element, count)` for the parts of a long buffer.
template <typename Part>
void MpiCommunicator::in_parts(std::size_t count, const Part& part) const {
  for (std::size_t done = 0; done < count; done += max_count_) {
    part(done, static_cast<int>(std::min(max_count_, count - done)));
  }
}

// The order of other reductions does not show.
bool MpiCommunicator::is_ordered(DataType type, ReduceOp op) const {
  return ordered_ && op == ReduceOp::kSum && (type == DataType::kFloat32 || type == DataType::kFloat64);
}

std::unique_ptr<Work> MpiCommunicator::do_all_reduce(void* buffer, std::size_t count, DataType type, ReduceOp op) {
  return run(Collective::kAllReduce, count * size_of(type), [=, this] {
    if (is_ordered(type, op)) return require(ordered_->all_reduce(buffer, count, type), "all_reduce", count);
    in_parts(count, [&](std::size_t first, int part) {
      require(MPI_Allreduce(MPI_IN_PLACE, static_cast<std::byte*>(buffer) + first * size_of(type), part, mpi_type(type),
                            mpi_op(op), comm_),
              "all_reduce", count);
    });
  });
}

std::unique_ptr<Work> MpiCommunicator::do_reduce_scatter(const void* buffer, void* output, std::size_t count,
                                                         DataType type, ReduceOp op) {
  return run(Collective::kReduceScatter, count * static_cast<std::size_t>(size_) * size_of(type), [=, this] {
    if (is_ordered(type, op)) {
      return require(ordered_->reduce_scatter(buffer, output, count, type), "reduce_scatter", count);
    }
    const auto ranks = static_cast<std::size_t>(size_);
    const std::size_t bytes = count * size_of(type);
    // MPI wants what is reduced apart from the result, and in place it would put that at the buffer's start.
    const bool in_place = output == static_cast<const std::byte*>(buffer) + static_cast<std::size_t>(rank_) * bytes;
    if (in_place && apart_.size() < bytes) apart_.resize(bytes);
    auto* const result = in_place ? apart_.data() : static_cast<std::byte*>(output);
    if (count <= max_count_ / ranks) {
      require(MPI_Reduce_scatter_block(buffer, result, static_cast<int>(count), mpi_type(type), mpi_op(op), comm_),
              "reduce_scatter", count);
    } else {
      for (std::size_t owner = 0; owner < ranks; ++owner) {
        in_parts(count, [&](std::size_t first, int part) {
          require(MPI_Reduce(static_cast<const std::byte*>(buffer) + (owner * count + first) * size_of(type),
                             result + first * size_of(type), part, mpi_type(type), mpi_op(op), static_cast<int>(owner),
                             comm_),
                  "reduce_scatter", count);
        });
      }
    }
    if (in_place && bytes > 0) std::memcpy(output, result, bytes);
  });
}

std::unique_ptr<Work> MpiCommunicator::do_all_gather(const void* input, void* output, std::size_t count,
                                                     DataType type) {
  return run(Collective::kAllGather, count * static_cast<std::size_t>(size_) * size_of(type), [=, this] {
    const auto ranks = static_cast<std::size_t>(size_);
    const std::size_t bytes = count * size_of(type);
    auto* all = static_cast<std::byte*>(output);
    std::byte* const own = all + static_cast<std::size_t>(rank_) * bytes;
    if (count <= max_count_ / ranks) {
      const auto elements = static_cast<int>(count);
      require(MPI_Allgather(input == own ? MPI_IN_PLACE : input, elements, mpi_type(type), output, elements,
                            mpi_type(type), comm_),
              "all_gather", count);
      return;
    }
    if (input != own) std::memcpy(own, input, bytes);
    for (std::size_t owner = 0; owner < ranks; ++owner) {
      in_parts(count, [&](std::size_t first, int part) {
        require(MPI_Bcast(all + owner * bytes + first * size_of(type), part, mpi_type(type), static_cast<int>(owner),
                          comm_),
                "all_gather", count);
      });
    }
  });
}

std::unique_ptr<Work> MpiCommunicator::do_broadcast(void* buffer, std::size_t count, DataType type, int root) {
  return run(Collective::kBroadcast, count * size_of(type), [=, this] {
    in_parts(count, [&](std::size_t first, int part) {
      require(MPI_Bcast(static_cast<std::byte*>(buffer) + first * size_of(type), part, mpi_type(type), root, comm_),
              "broadcast", count);
    });
  });
}

void MpiCommunicator::do_barrier() {
  run(Collective::kBarrier, 0, [this] { require(MPI_Barrier(comm_), "barrier", 0); })->wait();
}

void MpiCommunicator::abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);  // MPI_Abort does not return in practice, but is not declared so
}

}  // namespace lockstep
