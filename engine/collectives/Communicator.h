// What ranks say to each other.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/SpanLog.h"
#include "engine/collectives/CollectiveLog.h"
#include "watch/CollectiveTypes.h"

namespace lockstep {

/// A collective under way. The buffer belongs to it until `wait` returns; destroying it waits.
class Work {
 public:
  virtual ~Work() = default;
  /// Returns when the result is in the buffer. Throws PeerError when the collective failed.
  virtual void wait() = 0;
};

/// A fixed set of ranks, numbered 0 … size-1. Every rank must call the same collectives with the same counts
/// and types in the same order; collectives may be empty (count 0). One thread at a time may call.
///
/// Each collective is noted in the log while it is under way; what a kind of communicator does for it is in the
/// protected functions of the same names.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// buffer[i] becomes the reduction of all ranks' buffer[i], on all ranks.
  std::unique_ptr<Work> all_reduce(void* buffer, std::size_t count, DataType type, ReduceOp op);
  /// Of all ranks' buffers of count × size elements, rank r receives the reduction of the r-th piece into `output`.
  /// That may be the r-th piece of its own buffer; what the rest of the buffer holds afterwards means nothing then.
  std::unique_ptr<Work> reduce_scatter(const void* buffer, void* output, std::size_t count, DataType type, ReduceOp op);
  /// output (count × size elements) becomes the ranks' `input`s (count elements each) in rank order, on all ranks. The
  /// input may be the rank's own piece of the output.
  std::unique_ptr<Work> all_gather(const void* input, void* output, std::size_t count, DataType type);
  /// buffer becomes root's, on all ranks.
  std::unique_ptr<Work> broadcast(void* buffer, std::size_t count, DataType type, int root);
  /// Returns when all ranks have called it.
  void barrier();
  /// Every rank's text, in rank order, on all ranks.
  std::vector<std::string> all_gather(std::string_view text);

  /// What this rank has called. A captured step that is replayed makes no calls. Outlives the communicator.
  std::shared_ptr<const CollectiveLog> log() const { return log_; }
  /// Has the log kept where other processes can read it: before any collective. `track` is empty and outlives all that
  /// this communicator makes.
  void keep_log_in(CollectiveTrack& track);

  /// With what ranks compare each collective before they make it.
  struct Comparison {
    Communicator& by;                    ///< the same ranks, for the host's memory; may be the communicator itself
    std::vector<std::string> names;      ///< of the ranks, for errors
    std::function<std::string()> where;  ///< what an error ends with
  };
  /// From now on a collective whose kind, count or type is not the same on all ranks is an error that all of them raise
  /// alike, before anything is moved. Costs a collective more for each, and what would overlap with computing waits.
  void compare_by(Comparison comparison) { comparison_.emplace(std::move(comparison)); }
  const std::optional<Comparison>& comparison() const { return comparison_; }

  /// From now on a communicator that makes collectives on the host writes there, while it is on, when it made each;
  /// nullptr: nowhere. Between collectives.
  void record_in(SpanLog* spans) { spans_ = spans; }

  /// Throws what has gone wrong between the ranks, if anything has. Does not wait.
  virtual void check() {}
  /// Blocks the host until `done` says that the device has come to some point: what the device has computed is good
  /// only when this returns. Throws what `check` throws meanwhile, before anything that `done` throws: a device may
  /// fail because a connection has. Throws after half an hour, for the device may be stuck. The host rests while it
  /// waits.
  void await(const std::function<bool()>& done);
  /// Ends every rank of the job with this exit code. Does not return.
  [[noreturn]] virtual void abort(int exit_code) = 0;
  /// Announces memory that collectives will use again and again: whether that spares copies. It must outlive this.
  virtual bool register_buffer(void* /*buffer*/, std::size_t /*bytes*/) { return false; }

 protected:
  virtual std::unique_ptr<Work> do_all_reduce(void* buffer, std::size_t count, DataType type, ReduceOp op) = 0;
  virtual std::unique_ptr<Work> do_reduce_scatter(const void* buffer, void* output, std::size_t count, DataType type,
                                                  ReduceOp op) = 0;
  virtual std::unique_ptr<Work> do_all_gather(const void* input, void* output, std::size_t count, DataType type) = 0;
  virtual std::unique_ptr<Work> do_broadcast(void* buffer, std::size_t count, DataType type, int root) = 0;
  virtual void do_barrier() = 0;
  /// By collectives of bytes, unless a kind of communicator has another way.
  virtual std::vector<std::string> do_gather_texts(std::string_view text);

  /// nullptr: nobody wants to know.
  SpanLog* spans() const { return spans_; }
  /// How long `await` waits.
  virtual std::chrono::milliseconds wait_deadline() const { return std::chrono::minutes(30); }
  /// `await` has waited in vain: throws an error of this text.
  [[noreturn]] virtual void give_up(const std::string& text);

 private:
  template <typename Start>
  auto logged(Collective operation, std::size_t count, DataType type, const Start& start);
  void compare(Collective operation, std::size_t count, DataType type);

  SpanLog* spans_ = nullptr;
  std::shared_ptr<CollectiveLog> log_ = std::make_shared<CollectiveLog>();
  std::optional<Comparison> comparison_;
};

}  // namespace lockstep
