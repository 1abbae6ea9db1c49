// A communicator of one rank that may fail.
#pragma once

#include <cstring>
#include <memory>
#include <stdexcept>

#include "common/Error.h"
#include "engine/collectives/Communicator.h"

namespace lockstep {

/// Its collectives are done at once and change nothing.
class RankAlone : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::unique_ptr<Work> do_all_reduce(void*, std::size_t, DataType, ReduceOp) override { return done(); }
  std::unique_ptr<Work> do_reduce_scatter(const void* from, void* to, std::size_t count, DataType type,
                                          ReduceOp) override {
    return copied(from, to, count, type);
  }
  std::unique_ptr<Work> do_all_gather(const void* from, void* to, std::size_t count, DataType type) override {
    return copied(from, to, count, type);
  }
  std::unique_ptr<Work> do_broadcast(void*, std::size_t, DataType, int) override { return done(); }
  void do_barrier() override {}
  [[noreturn]] void abort(int) override { throw std::logic_error("nobody aborts here"); }
  void check() override {
    if (checks_left_ == 0) throw PeerError("rank 1 is gone");
    if (checks_left_ > 0) --checks_left_;
  }
  std::chrono::milliseconds wait_deadline() const override { return deadline; }

  /// Another rank is gone when `check` has been called so often.
  void fail_after(int checks) { checks_left_ = checks; }

  std::chrono::milliseconds deadline = std::chrono::minutes(1);

 private:
  struct Done : Work {
    void wait() override {}
  };
  static std::unique_ptr<Work> done() { return std::make_unique<Done>(); }
  static std::unique_ptr<Work> copied(const void* from, void* to, std::size_t count, DataType type) {
    std::memcpy(to, from, count * size_of(type));
    return done();
  }

  int checks_left_ = -1;
};

}  // namespace lockstep
