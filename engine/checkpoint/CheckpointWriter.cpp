#include "engine/checkpoint/CheckpointWriter.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <utility>

#include "common/Seconds.h"
#include "common/SyncPoint.h"

namespace lockstep {

namespace {

// Where training leaves no core idle, the calling thread has a tenth of one: a save's work is spread over several
// steps.
void give_way() {
  constexpr int kNicer = 10;
  static_cast<void>(::nice(kNicer));  // on Linux a thread has its own; without it the save disturbs more
}

}  // namespace

std::vector<std::string> CheckpointWriter::write(const Snapshot& snapshot) const {
  sync_point("checkpoint.begin");
  directory_.write(snapshot.step(),
                   [&](const std::filesystem::path& place) { write_checkpoint(snapshot.contents(), place); });
  sync_point("checkpoint.committed");
  std::vector<std::string> not_pruned = directory_.keep_newest(keep_, snapshot.step());
  sync_point("checkpoint.end");
  return not_pruned;
}

WrittenCheckpoint CheckpointWriter::attempt(const Snapshot& snapshot) const {
  const auto start = std::chrono::steady_clock::now();
  WrittenCheckpoint written{.step = snapshot.step()};
  try {
    written.not_pruned = write(snapshot);
  } catch (...) {
    written.failure = std::current_exception();
  }
  written.seconds = seconds_since(start);
  return written;
}

std::future<WrittenCheckpoint> CheckpointWriter::start(Snapshot snapshot) const {
  return std::async(std::launch::async, [writer = *this, snapshot = std::move(snapshot)] {
    give_way();
    return writer.attempt(snapshot);
  });
}

}  // namespace lockstep
