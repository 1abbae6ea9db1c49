// Captured steps without a GPU.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "engine/device/Device.h"

namespace lockstep {

/// A CPU that replays by calling again what it captured, and does not wait.
class ReplayingDevice : public Device {
 public:
  explicit ReplayingDevice(bool able) : able_(able) {}

  c10::Device place() const override { return c10::Device(c10::kCPU); }
  std::string description() const override { return "replaying"; }
  bool asynchronous() const override { return true; }
  std::int64_t peak_memory() const override { return 0; }
  std::string watch(const std::function<void()>& enqueue) override {
    enqueue();
    return able_ ? "" : "an operator waits for the device";
  }
  std::unique_ptr<CapturedWork> capture(const std::function<void()>& enqueue) override {
    return std::make_unique<Replay>(enqueue, *this);
  }
  int replays() const { return replays_; }
  bool holds_captured_work() const { return holds_captured_work_; }

 private:
  class Replay : public CapturedWork {
   public:
    Replay(std::function<void()> enqueue, ReplayingDevice& device) : enqueue_(std::move(enqueue)), device_(device) {
      device_.holds_captured_work_ = true;
    }
    Replay(const Replay&) = delete;
    Replay& operator=(const Replay&) = delete;
    ~Replay() override { device_.holds_captured_work_ = false; }
    void replay() override {
      ++device_.replays_;
      enqueue_();
    }
    void beside(const std::function<void()>& work) override { work(); }

   private:
    std::function<void()> enqueue_;
    ReplayingDevice& device_;
  };

  bool able_;
  int replays_ = 0;
  bool holds_captured_work_ = false;
};

}  // namespace lockstep
