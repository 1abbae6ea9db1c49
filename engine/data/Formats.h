// The formats that data can come in, and how a channel's directory is opened.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/data/Dataset.h"

namespace lockstep {

/// What a format gets to open.
struct ChannelFiles {
  std::filesystem::path directory;
  std::vector<std::filesystem::path> files;  ///< those that the format recognised, in the order of their names
  std::vector<std::string> others;           ///< names of what else is there, for messages

  /// "the channel directory DIR", for messages.
  std::string origin() const { return "the channel directory " + directory.string(); }
};

/// One format of data.
struct Format {
  std::string name;   ///< "IDX"
  std::string wants;  ///< what a directory must hold, for messages: "arrays by name, as x.npy and y.npy"
  /// Whether a file is of this format. It may throw InputError for one that is, and is damaged.
  std::function<bool(const std::filesystem::path& file)> recognises;
  /// Opens what it recognised: at least one file. Throws InputError.
  std::function<std::unique_ptr<Dataset>(const ChannelFiles& channel)> open;
};

/// The table of formats. A format is added by `add` alone.
class Formats {
 public:
  /// Those that Lockstep has: IDX, NumPy's .npy and .npz, and safetensors.
  static Formats builtin();

  /// Comes behind those that are there.
  void add(Format format) { formats_.push_back(std::move(format)); }

  /// Opens a channel's directory: all its regular files but hidden ones are shown to the formats, and of the formats
  /// that recognise any, the first opens its files and passes over the rest. Throws InputError, saying what is there,
  /// when no format recognises a file, and when the directory cannot be read.
  std::unique_ptr<Dataset> open(const std::filesystem::path& directory) const;

 private:
  std::vector<Format> formats_;
};

}  // namespace lockstep
