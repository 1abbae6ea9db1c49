#include "launch/PipedChannels.h"

#include <chrono>
#include <iostream>
#include <system_error>
#include <vector>

#include "common/Error.h"
#include "common/Seconds.h"
#include "common/Text.h"
#include "launch/PipedStream.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

// Besides what can be read: for FIFOs that are not there yet, for deadlines and for progress.
constexpr std::chrono::milliseconds kTurn{100};

Clock::duration in_clock(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

fs::path place_for_copies() {
  std::error_code error;
  fs::path place = fs::temp_directory_path(error);  // TMPDIR, else /tmp
  if (error) throw LaunchError("TMPDIR is no directory, and streamed channels are copied there: " + error.message());
  return place;
}

void say(const PipedStream& stream, const std::string& what) {
  std::cout << "lockstep: " << stream.name() << ": " << with_commas(static_cast<long long>(stream.bytes())) << " bytes "
            << what << std::endl;
}

void read_all(Supervisor& supervisor, std::vector<PipedStream> streams, double log_every,
              const std::function<void()>& attend) {
  const auto start = Clock::now();
  auto told = start;
  while (true) {
    std::erase_if(streams, [&](PipedStream& stream) {
      if (!stream.pump()) return false;
      say(stream, "in " + format("%.1f s", seconds_since(start)) + ", to " + stream.directory().string());
      return true;
    });
    if (streams.empty()) return;
    if (seconds_since(told) >= log_every) {
      told = Clock::now();
      for (const PipedStream& stream : streams) say(stream, "so far");
    }
    std::vector<int> descriptors;
    for (const PipedStream& stream : streams) {
      if (stream.descriptor() >= 0) descriptors.push_back(stream.descriptor());
    }
    const std::vector<int> signals = supervisor.wait(descriptors, kTurn);
    if (!signals.empty()) throw StopError(signals.front());
    attend();
  }
}

}  // namespace

PipedChannels::PipedChannels(Supervisor& supervisor, const Job& job, const std::function<void()>& attend) {
  if (job.piped_channels.empty()) return;
  constexpr std::size_t kRoom = 64 << 10;  // how much more is needed, a stream does not say
  place_.emplace(place_for_copies(), kRoom);
  std::vector<PipedStream> streams;
  for (const std::string& channel : job.piped_channels) {
    const fs::path directory = place_->path() / std::to_string(directories_.size());
    fs::create_directory(directory);
    directories_[channel] = directory;
    streams.emplace_back(PipedStream::Source{.channel = channel,
                                             .fifo = job.config.channels.at(channel).string() + "_0",
                                             .wrapped = job.wrapped_channels.contains(channel),
                                             .may_be_empty = may_lack_files(job, channel),
                                             .patience = in_clock(job.config.hyperparameters.pipe_timeout)},
                         directory);
  }
  read_all(supervisor, std::move(streams), job.config.hyperparameters.log_every, attend);
}

}  // namespace lockstep
