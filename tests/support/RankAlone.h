// A communicator of one rank that may fail.
#pragma once

#include <chrono>
#include <stdexcept>

#include "common/Error.h"
#include "engine/collectives/LoneCommunicator.h"

namespace lockstep {

class RankAlone : public LoneCommunicator {
 public:
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
  int checks_left_ = -1;
};

}  // namespace lockstep
