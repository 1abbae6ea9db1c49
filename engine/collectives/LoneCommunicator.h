// A communicator of one rank.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>

#include "engine/collectives/Communicator.h"

namespace lockstep {

/// Its collectives are done at once, without MPI: what one rank has is what all have.
class LoneCommunicator : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  [[noreturn]] void abort(int exit_code) override { std::_Exit(exit_code); }

 protected:
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

 private:
  struct Done : Work {
    void wait() override {}
  };
  static std::unique_ptr<Work> done() { return std::make_unique<Done>(); }
  static std::unique_ptr<Work> copied(const void* from, void* to, std::size_t count, DataType type) {
    if (count > 0 && from != to) std::memcpy(to, from, count * size_of(type));
    return done();
  }
};

}  // namespace lockstep
