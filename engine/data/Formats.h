// The formats that data can come in, and how a channel's directory is opened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/data/ChannelFiles.h"
#include "engine/data/Dataset.h"

namespace lockstep {

/// What a format sees of a file before it opens it. Content is what was packed, where the file is packed (InputFile.h).
struct FileHead {
  static constexpr std::size_t kBytes = 4096;

  std::filesystem::path path{};         ///< of the file
  std::string name;                     ///< of the content, within the channel: `part/x.npy` of part/x.npy.gz
  std::span<const std::uint8_t> bytes;  ///< its first kBytes; fewer where it has no more
  const ChannelOptions& options;        ///< of the channel

  bool starts_with(std::string_view magic) const;
  /// Whether the channel's ContentType says so, and the file is not what people keep beside data: a manifest, JSON, a
  /// README or other text about it.
  bool is_said_to_be(std::string_view content_type) const;
};

/// One format of data.
struct Format {
  std::string name;  ///< "IDX"
  /// Whether a file is of this format, intact or not.
  std::function<bool(const FileHead& head)> recognises;
  /// Opens what it recognised: at least one file. Throws InputError.
  std::function<std::unique_ptr<Dataset>(const ChannelFiles& channel)> open;
  bool keeps_index = false;  ///< opening keeps what it finds out where it is asked to (KeptIndex)
};

/// The data of a channel, and where it came from.
struct OpenedChannel {
  std::shared_ptr<const Dataset> dataset;
  std::string format{};        ///< its name; "" for data that is made up
  std::size_t files = 0;       ///< of that format
  bool without_index = false;  ///< the format keeps none
  PassedOver passed_over{};
};

/// The table of formats. A format is added by `add` alone.
class Formats {
 public:
  /// Those that Lockstep has: each has a file in engine/data/formats.
  static Formats builtin();

  /// Comes behind those that are there.
  void add(Format format) { formats_.push_back(std::move(format)); }

  /// Opens a channel's directory: all its files (list_channel) are shown to the formats. A file is of the first that
  /// recognises it, or is passed over. Throws InputError, saying what is there, when no format recognises a file, when
  /// two formats recognise some, and when something cannot be read.
  OpenedChannel open(const std::filesystem::path& directory, const ChannelOptions& options = {}) const;

 private:
  std::vector<Format> formats_;
};

}  // namespace lockstep
