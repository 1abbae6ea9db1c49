#include "engine/checkpoint/CheckpointDirectory.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/File.h"
#include "common/SyncPoint.h"
#include "common/Text.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "step-";
constexpr std::size_t kDigits = 9;
constexpr const char* kManifest = "manifest.json";
constexpr const char* kFormat = "lockstep checkpoint";
constexpr int kVersion = 1;
constexpr std::uint64_t kMaxManifest = 1 << 20;

std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = -1;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
  return step >= 0 && checkpoint_name(step) == name ? std::optional(step) : std::nullopt;
}

struct Manifest {
  std::string job;
  std::vector<ListedFile> files;
  std::string digest;
};

std::string digest_of(const std::string& manifest) {
  Digest digest;
  digest.update(manifest);
  return digest.hex();
}

Manifest read_manifest(const fs::path& checkpoint) {
  const fs::path path = checkpoint / kManifest;
  const std::string text = read_file(path, kMaxManifest);
  const json document = parse_json(text, path.string());
  try {
    if (document.at("format") != kFormat) throw InputError(path.string() + " is not a checkpoint's manifest");
    if (document.at("version") != kVersion) {
      throw InputError(path.string() + " is of version " + document.at("version").dump() + "; this Lockstep reads " +
                       std::to_string(kVersion));
    }
    Manifest manifest{.job = document.at("job"), .files = {}, .digest = {}};
    for (const auto& [name, file] : document.at("files").items()) {
      if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos ||
          !file.at("bytes").is_number_unsigned()) {
        throw InputError(path.string() + ": " + in_quotes(name) + " is not a file of a checkpoint");
      }
      manifest.files.push_back({.name = name, .bytes = file.at("bytes"), .crc32c = file.at("crc32c")});
    }
    manifest.digest = digest_of(text);
    return manifest;
  } catch (const json::exception& error) {
    throw InputError(path.string() + " is not a checkpoint's manifest: " + error.what());
  }
}

}  // namespace

std::string checkpoint_name(std::int64_t step) {
  const std::string number = std::to_string(step);
  return std::string(kPrefix) + std::string(kDigits - std::min(kDigits, number.size()), '0') + number;
}

CheckpointDirectory::CheckpointDirectory(fs::path path, JobItems job) : path_(std::move(path)), job_(std::move(job)) {
  Digest digest;
  for (const auto& [name, value] : job_) {
    digest.update(name);
    digest.update(value);
  }
  job_digest_ = digest.hex();
}

fs::path CheckpointDirectory::path_of(std::int64_t step) const { return path_ / checkpoint_name(step); }

std::vector<ListedCheckpoint> CheckpointDirectory::list() const {
  std::vector<ListedCheckpoint> found;
  std::error_code error;
  if (!fs::exists(path_, error) && !error) return found;
  for (fs::directory_iterator entry(path_, error), end; !error && entry != end; entry.increment(error)) {
    const auto step = step_of(entry->path().filename().string());
    if (!step) continue;
    ListedCheckpoint checkpoint{.step = *step, .job = {}, .digest = {}, .problem = {}};
    try {
      const Manifest manifest = read_manifest(entry->path());
      checkpoint.job = manifest.job;
      checkpoint.digest = manifest.digest;
      check_sizes(entry->path(), manifest.files);
    } catch (const InputError& cause) {
      checkpoint.problem = cause.what();
    }
    found.push_back(std::move(checkpoint));
  }
  // Not to be taken for an empty one: the job would start anew.
  if (error) throw InputError("cannot read the checkpoint directory " + path_.string() + ": " + error.message());
  std::ranges::sort(found, std::greater(), &ListedCheckpoint::step);
  return found;
}

std::vector<ListedFile> CheckpointDirectory::files(std::int64_t step) const {
  return read_manifest(path_of(step)).files;
}

void CheckpointDirectory::verify(std::int64_t step) const {
  const fs::path checkpoint = path_of(step);
  const Manifest manifest = read_manifest(checkpoint);
  check_contents(checkpoint, manifest.files);
}

void CheckpointDirectory::write(std::int64_t step, const std::function<void(const fs::path&)>& fill,
                                const std::string& expected) const {
  StagingDirectory staging(path_, job_digest_);
  const fs::path made = staging.path() / checkpoint_name(step);
  std::error_code error;
  fs::create_directory(made, error);
  if (error) throw SystemError("cannot make the directory " + made.string() + ": " + error.message());
  fill(made);
  json files = json::object();
  for (const ListedFile& file : list_files(made)) files[file.name] = {{"bytes", file.bytes}, {"crc32c", file.crc32c}};
  const std::string text =
      json({{"format", kFormat}, {"version", kVersion}, {"job", job_digest_}, {"files", files}}).dump();
  if (!expected.empty() && digest_of(text) != expected) {
    throw SystemError(path_of(step).string() + " has not come out as it was: its manifest has the digest " +
                      digest_of(text) + ", not " + expected);
  }
  OutputFile manifest(made / kManifest);
  manifest.write(text);
  manifest.close();
  staging.publish();
}

std::vector<std::string> CheckpointDirectory::keep_newest(std::int64_t count, std::int64_t step) const {
  std::vector<std::string> kept;
  std::vector<ListedCheckpoint> found;
  try {
    found = list();
  } catch (const InputError& error) {
    kept.emplace_back(error.what());
  }
  for (const ListedCheckpoint& checkpoint : found) {
    if (checkpoint.job != job_digest_ || (checkpoint.step <= step && count-- > 0)) continue;
    // Hidden first: should this process be killed, what is half removed is a leftover and no checkpoint.
    const fs::path hidden = path_ / (hidden_prefix() + checkpoint_name(checkpoint.step));
    const fs::path path = path_of(checkpoint.step);
    std::error_code error;
    sync_point("prune.hide");
    fs::rename(path, hidden, error);
    sync_point("prune.remove");
    if (error == std::errc::no_such_file_or_directory) continue;  // another host has, in a directory that they share
    if (error) {
      kept.push_back("cannot remove " + path.string() + ": " + error.message());
    } else if (fs::remove_all(hidden, error); error) {
      kept.push_back("cannot remove " + hidden.string() + ": " + error.message());
    }
    sync_point("prune.removed");
  }
  return kept;
}

void CheckpointDirectory::remove_leftovers() const { remove_abandoned_staging(path_, job_digest_); }

std::string CheckpointDirectory::hidden_prefix() const { return StagingDirectory::prefix_of(job_digest_); }

}  // namespace lockstep
