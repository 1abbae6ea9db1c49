// A deadline for what cannot be given one.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace lockstep {

/// Calls `late` in a thread of its own when it is not destroyed before the deadline.
class Alarm {
 public:
  Alarm(std::chrono::duration<double> deadline, std::function<void()> late)
      : thread_([this, deadline, late = std::move(late)] {
          std::unique_lock lock(mutex_);
          if (!changed_.wait_for(lock, deadline, [this] { return over_; })) late();
        }) {}
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
  ~Alarm() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace lockstep
