// The files of a channel's directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/Field.h"
#include "engine/data/images/Pixels.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// What a channel holds that no format opens, for messages.
struct PassedOver {
  std::vector<std::string> names;  ///< of files and links that were looked at, within the channel: "notes/readme.txt"
  std::size_t hidden = 0;          ///< files and directories whose names begin with . or _, as _SUCCESS does

  bool none() const { return names.empty() && hidden == 0; }
  /// "1 hidden file and other files: readme.txt, y.npy (empty)", with a few of the names; "" when there is nothing.
  std::string text() const;
};

/// How encoded images are to be made samples of one size.
struct ImageOptions {
  std::optional<ImageShape> shape{};    ///< what the program takes; nothing: not known
  ImageCrop crop = ImageCrop::kCenter;  ///< kRandom: where samples are varied (Dataset::read_varied), else as kCenter
};

/// How a channel is to be read, beside what its files say themselves.
struct ChannelOptions {
  std::string content_type{};                    ///< the channel's ContentType: "text/csv"; "" when nobody said one
  std::map<std::string, std::string> columns{};  ///< input, or `target` or `weight` → column, where their names differ
  /// The names of the program's inputs; nothing: not known.
  std::optional<std::vector<std::string>> inputs{};
  FieldDescriptions fields{};            ///< what becomes of columns: here, how they are to be read
  std::optional<std::int64_t> window{};  ///< tokens of a sample that is cut out of a text; nothing: not known
  ImageOptions image{};
  /// Records that may be bad: opening goes on when it meets so many that cannot be read (Dataset::bad_records).
  std::int64_t most_bad = 0;
  bool shard = false;  ///< other hosts have other files of the channel, which may have columns that these lack
  std::filesystem::path index_dir{};  ///< where indexes are kept (KeptIndex); "": nowhere
  /// The fields that these have to be like: the training channel's, or where hosts have files of their own those that
  /// all have in common. Null: what the files hold. A format of categories takes over theirs.
  const SampleSpec* like = nullptr;
};

/// What a format gets to open.
struct ChannelFiles {
  std::filesystem::path directory{};
  std::vector<std::filesystem::path> files{};  ///< those that the format recognised, in the order of their names
  PassedOver passed_over{};
  ChannelOptions options{};

  /// "the channel directory DIR", for messages.
  std::string origin() const { return "the channel directory " + directory.string(); }
};

/// All files of a channel's directory and of the directories within it, by whatever format, in the order of their
/// names. Passed over are hidden files and directories, empty files, links whose targets are not there, and what is no
/// file (pipes, sockets, devices). A link to a directory is followed, but to none that is listed already, nor into
/// /proc and /sys. Throws InputError for a directory that cannot be read, and for one within /proc or /sys.
ChannelFiles list_channel(const std::filesystem::path& directory);

}  // namespace lockstep
