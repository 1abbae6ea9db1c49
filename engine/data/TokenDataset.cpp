#include "engine/data/TokenDataset.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/FileDataset.h"
#include "engine/data/SampledDigest.h"

namespace lockstep {

namespace {

constexpr std::size_t kTargets = 1;  // the field

}  // namespace

TokenDataset::TokenDataset(const std::string& origin, std::vector<TokenFile> files, std::int64_t window)
    : files_(std::move(files)), first_{0}, window_(window) {
  if (window_ < 1) throw InputError("the program takes windows of " + std::to_string(window_) + " tokens");
  Digest digest;
  digest.update(std::as_bytes(std::span(&window_, 1)));
  std::int64_t most = 0;
  std::uint64_t bytes = 0;
  for (const TokenFile& file : files_) {
    first_.push_back(first_.back() + std::max<std::int64_t>(file.size() - 1, 0) / window_);
    most = std::max(most, file.size());
    bytes += file.file().size();
    digest.update(to_string(file.type()));
    update_sampled(digest, file.file());
  }
  digest_ = digest.hex();
  if (size() == 0) {
    throw InputError(origin + " holds no window of " + with_commas(window_) + " tokens and one that follows: " +
                     (files_.size() == 1 ? files_[0].file().name() + " has " : "the longest of its files has ") +
                     with_commas(most));
  }
  for (const char* name : {"tokens", "targets"}) {
    spec_.fields.push_back({.name = name,
                            .type = ElementType::kInt64,
                            .sizes = {window_},
                            .large = bytes > kMostInMemory,
                            .origin = files_.size() == 1 ? files_[0].file().name() : origin});
  }
}

TokenDataset::Found TokenDataset::find(std::int64_t sample) const {
  // Files without a window begin where the next one does: the last that begins there has it.
  const auto after = std::ranges::upper_bound(first_, sample);
  const auto file = static_cast<std::size_t>(after - first_.begin()) - 1;
  return {.file = &files_[file], .token = (sample - first_[file]) * window_};
}

std::string TokenDataset::place(std::size_t field, std::int64_t sample) const {
  const Found found = find(sample);
  return found.file->file().name() + ", window at byte " +
         std::to_string(found.file->offset(found.token + (field == kTargets ? 1 : 0)));
}

std::string TokenDataset::note() const {
  std::int64_t tokens = 0;
  std::int64_t used = 0;
  std::vector<std::string> assumed;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const std::int64_t windows = first_[i + 1] - first_[i];
    tokens += files_[i].size();
    used += windows == 0 ? 0 : windows * window_ + 1;
    if (files_[i].type_assumed()) assumed.push_back(files_[i].file().name());
  }
  std::string text = "windows of " + with_commas(window_) + " tokens; " + with_commas(tokens - used) + " of " +
                     with_commas(tokens) + " tokens fill none, at the end of a file, and are left out";
  if (!assumed.empty()) {
    text += "; " + assumed.front() +
            (assumed.size() == 1
                 ? " has"
                 : " and " + with_commas(static_cast<long long>(assumed.size()) - 1) + " other files have") +
            " no header: read as uint16";
  }
  return text;
}

void TokenDataset::read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const {
  thread_local std::vector<std::int64_t> tokens;
  tokens.resize(static_cast<std::size_t>(window_) + 1);
  const std::size_t bytes = spec_.fields[0].bytes();
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Found found = find(samples[i]);
    found.file->read(found.token, tokens);
    for (std::size_t field = 0; field < fields.size(); ++field) {
      if (fields[field] == nullptr) continue;
      std::memcpy(fields[field] + i * bytes, tokens.data() + (field == kTargets ? 1 : 0), bytes);
    }
  }
}

}  // namespace lockstep
