#include "engine/data/formats/NpzFormat.h"

#include <algorithm>
#include <cstring>
#include <span>
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

/// A member of an archive, unpacked.
class Member : public InputFile {
 public:
  Member(const ZipFile& archive, const std::string& member, const std::string& name)
      : InputFile(name), content_(memory_for(name, archive.size(member))) {
    archive.read(member, std::as_writable_bytes(std::span(content_)));
  }
  std::uintmax_t most_content() const override { return content_.size(); }

 private:
  std::size_t read_some(void* out, std::size_t count) override {
    const std::size_t some = std::min(count, content_.size() - offset());
    std::memcpy(out, content_.data() + offset(), some);
    return some;
  }

  std::vector<std::uint8_t> content_;
};

void read_archive(const fs::path& file, std::vector<Array>& arrays) {
  try {
    const ZipFile archive(file);
    for (const std::string& member : archive.names()) {
      const std::string name = file.string() + " (" + member + ")";
      if (!member.ends_with(kMemberEnd)) {
        throw InputError("its member " + in_quotes(member) + " is no .npy file");
      }
      Member content(archive, member, name);
      arrays.push_back(read_npy(content, member.substr(0, member.size() - std::strlen(kMemberEnd))));
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
          .wants = "an .npz file of such arrays",
          .recognises = [](const fs::path& file) { return file.extension() == ".npz"; },
          .open = open};
}

}  // namespace lockstep
