// A channel that comes through a FIFO.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/File.h"
#include "launch/WrappedObjects.h"

namespace lockstep {

/// Reads the stream of a channel's first epoch, CHANNEL_0, into a directory: as one file, or each record that wraps an
/// object of S3 into one of its own. Never blocks: call `pump` when the descriptor can be read, and now and then
/// besides, until it says that the stream has ended.
class PipedStream {
 public:
  struct Source {
    std::string channel;
    std::filesystem::path fifo;
    bool wrapped = false;  ///< RecordWrapperType is RecordIO
    bool may_be_empty = false;
    std::chrono::steady_clock::duration patience{};  ///< how long the stream may stand still
  };

  /// `directory` is there, and empty.
  PipedStream(Source source, std::filesystem::path directory);

  const std::filesystem::path& directory() const { return directory_; }
  /// -1 as long as the FIFO is not there.
  int descriptor() const { return fd_ ? fd_.get() : -1; }
  std::uint64_t bytes() const { return bytes_; }
  /// "channel train: its stream /opt/ml/input/data/train_0", for messages.
  std::string name() const { return "channel " + source_.channel + ": its stream " + source_.fifo.string(); }

  /// Takes what is there. Returns whether the stream has ended. Throws InputError for a stream that stands still too
  /// long, ends early or is empty, and for what is no FIFO; SystemError when there is no room for it.
  bool pump();

 private:
  void open();
  bool read();
  void write(std::span<const std::byte> bytes);
  void end();

  Source source_;
  std::filesystem::path directory_;
  FileDescriptor fd_;
  std::vector<std::byte> memory_;
  std::uint64_t bytes_ = 0;
  std::chrono::steady_clock::time_point moved_ = std::chrono::steady_clock::now();
  std::optional<OutputFile> file_;         ///< of a stream that is not wrapped
  std::optional<WrappedObjects> objects_;  ///< of one that is
};

}  // namespace lockstep
