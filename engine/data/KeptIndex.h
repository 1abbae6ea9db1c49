// What going through a channel's files once has found out, kept for later jobs: the hyperparameter data_index_dir.
#pragma once

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "common/File.h"
#include "engine/data/ChannelFiles.h"
#include "engine/data/RecordIndex.h"

namespace lockstep {

/// Where the records of a channel's files lie, and what else was found out about them: texts there may hold any bytes.
struct FoundRecords {
  RecordIndex index{};
  nlohmann::json findings{};
};

/// The place in a directory where what was found in a channel's files is kept. It belongs to these files as they are
/// now (name, size, time of the last change and a part of the bytes) and to how they are read. Ask `find` first; what
/// it does not have, find out and `keep`.
///
/// While one of several processes that open the same channel is between the constructor and the destructor, the others
/// wait in their constructors, so that one finds out and the others read. A process that ends lets the others go on.
/// Who has waited kPatience, or cannot lock, finds out by itself.
///
/// A directory keeps kMostKept indexes: `keep` removes those that were asked for longest ago, but for those in use.
///
/// The file: "LSINDEX1"; the number of bytes (64 bits) of a JSON text, which describes the files and holds the
/// findings; that text; of each record its length (32 bits); the CRC-32C of all that. All little-endian.
class KeptIndex {
 public:
  /// `how`: all that the findings follow from beside the files, in words. Throws SystemError for a directory that
  /// cannot be made, and InputError for a file of the channel that cannot be read.
  static constexpr std::chrono::seconds kPatience{300};
  static constexpr std::size_t kMostKept = 64;

  KeptIndex(const std::filesystem::path& directory, const ChannelFiles& channel, const std::string& how);

  /// Nothing when nothing is kept of these files as they are now. A damaged file counts as none.
  std::optional<FoundRecords> find() const;
  const std::filesystem::path& path() const { return path_; }
  /// What to tell when it cannot be written: the job can do without. "" when it is.
  std::string keep(const RecordIndex& index, nlohmann::json findings) const;

 private:
  void write(const RecordIndex& index, nlohmann::json findings) const;
  void remove_oldest() const;

  std::string identity_;  ///< of the files, and how
  std::filesystem::path path_;
  FileDescriptor lock_;  ///< of a file beside it
};

}  // namespace lockstep
