// What rank 0 tells the launcher of its host.
#pragma once

#include <filesystem>
#include <string>

#include "common/File.h"

namespace lockstep {

/// How far the ranks are. mpirun's exit code alone does not tell: it may be 0 though no rank has trained.
enum class RankStatus : char {
  kStarting,
  kListening,  ///< all ranks stop in good order when they get SIGUSR1
  kEnded,      ///< all ranks have done what they had to
  kStopped,    ///< all ranks have stopped on request, and what they had done is kept
};

/// The launcher's side: a file in memory, which is gone with it.
class RankStatusFile {
 public:
  RankStatusFile();
  /// For the ranks of this host.
  std::string path() const;
  RankStatus read() const;
  /// What rank 0 has last said of its progress; "" when that is nothing.
  std::string progress() const;
  /// For ranks that are started anew.
  void reset() const;

 private:
  FileDescriptor memory_;
};

/// Rank 0's side; does nothing without a file. A launcher that is gone needs no report.
void report_status(const std::filesystem::path& file, RankStatus status) noexcept;
/// The same with a line of text, of which at most kMostProgress bytes are kept.
inline constexpr std::size_t kMostProgress = 1024;
void report_progress(const std::filesystem::path& file, const std::string& text) noexcept;

}  // namespace lockstep
