// Collectives over the memory of a LateDevice.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "engine/collectives/MpiCommunicator.h"
#include "tests/support/LateDevice.h"

namespace lockstep {

/// As NCCL's for a GPU: a collective is enqueued on the device's current stream, so that it runs behind what was
/// enqueued before and no sooner, and its `wait` does not block the host. Every rank must come to the point where it
/// waits for its device, for there the collective is made.
class LateCommunicator : public Communicator {
 public:
  /// Of all ranks, by a communicator of its own. A collective.
  explicit LateCommunicator(const MpiSession& session) : mpi_(session, MpiMode::kInline) {}

  int rank() const override { return mpi_.rank(); }
  int size() const override { return mpi_.size(); }
  [[noreturn]] void abort(int exit_code) override { mpi_.abort(exit_code); }

 protected:
  std::unique_ptr<Work> do_all_reduce(void* buffer, std::size_t count, DataType type, ReduceOp op) override {
    return enqueued([=, this] { mpi_.all_reduce(buffer, count, type, op)->wait(); });
  }
  std::unique_ptr<Work> do_reduce_scatter(const void* buffer, void* output, std::size_t count, DataType type,
                                          ReduceOp op) override {
    return enqueued([=, this] { mpi_.reduce_scatter(buffer, output, count, type, op)->wait(); });
  }
  std::unique_ptr<Work> do_all_gather(const void* input, void* output, std::size_t count, DataType type) override {
    return enqueued([=, this] { mpi_.all_gather(input, output, count, type)->wait(); });
  }
  std::unique_ptr<Work> do_broadcast(void* buffer, std::size_t count, DataType type, int root) override {
    return enqueued([=, this] { mpi_.broadcast(buffer, count, type, root)->wait(); });
  }
  void do_barrier() override { mpi_.barrier(); }

 private:
  struct Enqueued : Work {
    void wait() override {}
  };
  static std::unique_ptr<Work> enqueued(std::function<void()> collective) {
    LateDevice::enqueue(std::move(collective));
    return std::make_unique<Enqueued>();
  }

  MpiCommunicator mpi_;
};

}  // namespace lockstep
