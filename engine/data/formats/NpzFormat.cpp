#include "engine/data/formats/NpzFormat.h"

#include <cstring>
#include <string>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/ArrayDataset.h"
#include "engine/data/NpyFile.h"
#include "engine/files/ZipFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr const char* kMemberEnd = ".npy";

void read_archive(const fs::path& file, std::vector<Array>& arrays) {
  try {
    const ZipFile archive(file);
    for (const std::string& member : archive.names()) {
      if (!member.ends_with(kMemberEnd)) {
        throw InputError("its member " + in_quotes(member) + " is no .npy file");
      }
      const std::string name = file.string() + " (" + member + ")";
      arrays.push_back(
          read_npy(*archive.open(member, name), member.substr(0, member.size() - std::strlen(kMemberEnd))));
    }
  } catch (const InputError& error) {
    const std::string text = error.what();
    throw InputError(text.starts_with(file.string()) ? text : file.string() + ": " + text);
  }
}

std::unique_ptr<Dataset> open(const ChannelFiles& channel) {
  std::vector<Array> arrays;
  for (const fs::path& file : channel.files) read_archive(file, arrays);
  return std::make_unique<ArrayDataset>(channel.origin(), std::move(arrays));
}

}  // namespace

Format npz_format() {
  return {.name = "npz",
          .recognises = [](const FileHead& head) { return fs::path(head.name).extension() == ".npz"; },
          .open = open};
}

}  // namespace lockstep
