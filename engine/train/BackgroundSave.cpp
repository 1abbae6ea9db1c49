#include "engine/train/BackgroundSave.h"

#include <chrono>
#include <exception>
#include <utility>

namespace lockstep {

BackgroundSave::~BackgroundSave() {
  if (!pending_) return;
  try {
    context_.communicator.await([this] { return arrived(); });
  } catch (const std::exception&) {  // the device has failed, and somebody is saying so
    return;
  }
}

c10::Event* BackgroundSave::begin(const Snapshot& live) {
  Snapshot copy = buffer_.copy(live);
  pending_.emplace(Pending{.live = live, .copy = std::move(copy)});
  if (!buffer_.copied()) {
    write();
    return nullptr;
  }
  return &*buffer_.copied();
}

void BackgroundSave::write() {
  writing_ = writer_.start(std::move(pending_->copy));
  pending_.reset();
}

std::optional<WrittenCheckpoint> BackgroundSave::poll() {
  if (pending_ && arrived()) write();
  if (!writing_.valid() || writing_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return std::nullopt;
  return writing_.get();
}

std::optional<WrittenCheckpoint> BackgroundSave::finish() {
  if (pending_) {
    context_.communicator.await([this] { return arrived(); });
    write();
  }
  if (!writing_.valid()) return std::nullopt;
  return writing_.get();
}

}  // namespace lockstep
