// Checkpoints on disk: whole directories that exist or do not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/checkpoint/JobItems.h"
#include "engine/files/ListedFile.h"

namespace lockstep {

/// A checkpoint as its manifest describes it.
struct ListedCheckpoint {
  std::int64_t step = 0;
  std::string job;      ///< the digest of the job that wrote it
  std::string digest;   ///< of the manifest, and so of all that it lists
  std::string problem;  ///< why it cannot be used, as far as a look at its manifest tells; "" when nothing is wrong
};

/// The checkpoints of a job in a directory that may hold other things too. A checkpoint is a directory
/// `step-000001200` of plain files and of `manifest.json`:
///
///   {"format": "lockstep checkpoint", "version": 1, "job": "16 hexadecimal digits",
///    "files": {"state.json": {"bytes": 1234, "crc32c": "8 hexadecimal digits"}, …}}
///
/// One without a manifest that fits its files is no checkpoint. It is written under a hidden name that holds the job's
/// digest, the manifest last, synced and renamed. One process of a job writes; all may read. Nothing but checkpoints
/// and hidden directories of this job is ever changed.
class CheckpointDirectory {
 public:
  /// `job`: all that a job which goes on from a checkpoint must have in common with the one that wrote it.
  CheckpointDirectory(std::filesystem::path path, JobItems job);

  const std::filesystem::path& path() const { return path_; }
  const JobItems& job() const { return job_; }
  const std::string& job_digest() const { return job_digest_; }
  std::filesystem::path path_of(std::int64_t step) const;

  /// All of any job, newest first; a directory that is not there has none. Reads manifests and no other file.
  std::vector<ListedCheckpoint> list() const;
  /// All but the manifest. Throws InputError when that cannot be used.
  std::vector<ListedFile> files(std::int64_t step) const;
  /// Reads every file that the manifest lists. Throws InputError, naming the file, when one is missing, or has other
  /// bytes than were written.
  void verify(std::int64_t step) const;

  /// `fill` writes the files into the directory it is given. Replaces whatever has this name, readable or not. Throws,
  /// and leaves what was there, when something cannot be written (SystemError; InputError when the directory cannot
  /// be), or when the manifest does not come out with the digest that `expected` names (SystemError).
  void write(std::int64_t step, const std::function<void(const std::filesystem::path&)>& fill,
             const std::string& expected = "") const;
  /// Removes all of this job but the `count` newest up to `step`: older ones, and newer ones, which a job that goes on
  /// from `step` will write again. Returns what cannot be removed, each with the reason: nothing is lost by it.
  [[nodiscard]] std::vector<std::string> keep_newest(std::int64_t count, std::int64_t step) const;
  /// Removes what a process of this job that was killed has left half-written.
  void remove_leftovers() const;
  /// With which the names begin of all that is no checkpoint of this job yet, or no longer.
  std::string hidden_prefix() const;

 private:
  std::filesystem::path path_;
  JobItems job_;
  std::string job_digest_;
};

/// "step-000001200".
std::string checkpoint_name(std::int64_t step);

}  // namespace lockstep
