#include "engine/data/formats/TokenFormat.h"

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/data/TokenDataset.h"
#include "engine/files/InputFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr const char* kEnd = ".bin";
constexpr const char* kIndexEnd = ".idx";

// Where a file's content has this name. One that is packed lies under a name of its own.
fs::path content_path(const fs::path& path) { return path.parent_path() / content_name(path.filename().string()); }

std::unique_ptr<Dataset> open(const ChannelFiles& channel) {
  if (!channel.options.window) {
    throw InputError(channel.origin() +
                     " holds files of tokens, which are cut into windows as long as a program's input of integers: "
                     "train a program (model=FILE.pt2) that takes [batch, tokens] and was exported with a fixed number "
                     "of tokens, or a built-in one of texts, with model_length");
  }
  std::vector<TokenFile> files;
  std::set<fs::path> used;  // indices
  for (const fs::path& path : channel.files) {
    if (content_path(path).extension() == kIndexEnd) continue;
    const fs::path index = content_path(path).replace_extension(kIndexEnd);
    // Whatever it is: without it these may be tokens of any type.
    if (fs::exists(index)) {
      files.emplace_back(path, index);
      used.insert(index);
    } else {
      files.emplace_back(path);
    }
  }
  for (const fs::path& path : channel.files) {
    if (content_path(path).extension() != kIndexEnd || used.contains(path)) continue;
    throw InputError(path.string() + " is an index of tokens, which must lie beside it in " +
                     path.filename().replace_extension(kEnd).string() + "; there is none, or it is empty");
  }
  return std::make_unique<TokenDataset>(channel.origin(), std::move(files), *channel.options.window);
}

}  // namespace

Format token_format() {
  return {
      .name = "tokens",
      .recognises =
          [](const FileHead& head) { return begins_token_file(head.bytes) || fs::path(head.name).extension() == kEnd; },
      .open = open};
}

}  // namespace lockstep
