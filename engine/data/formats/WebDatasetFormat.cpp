#include "engine/data/formats/WebDatasetFormat.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/AsciiText.h"
#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/BadRecord.h"
#include "engine/data/SampledDigest.h"
#include "engine/data/images/ImageDataset.h"
#include "engine/files/TarFile.h"

namespace lockstep {

namespace {

constexpr std::uint64_t kMostLabelBytes = 64;

/// Images that lie in tar files.
class TarImages : public ImageSource {
 public:
  /// Throws InputError for files that are not intact, and when more samples lack something than may
  /// (ChannelOptions::most_bad).
  explicit TarImages(const ChannelFiles& channel)
      : files_(open_random_access(channel.files)), most_bad_(channel.options.most_bad) {
    for (; file_ < files_.size(); ++file_) read_file();
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(images_.size()); }
  std::int64_t label(std::int64_t sample) const override { return image(sample).label; }
  std::string place(std::int64_t sample) const override {
    return files_[image(sample).file].name() + ", image at byte " + std::to_string(image(sample).offset);
  }
  void read(std::int64_t sample, std::vector<std::byte>& bytes) const override {
    if (const auto fault = faults_.find(sample); fault != faults_.end()) throw InputError(fault->second);
    bytes.resize(image(sample).length);
    files_[image(sample).file].read_at(image(sample).offset, bytes);
  }
  void update(Digest& digest) const override {
    for (const RandomAccessFile& file : files_) update_sampled(digest, file);
  }

 private:
  struct Image {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    std::uint32_t file = 0;
    std::int64_t label = 0;
  };
  /// Some members of a sample.
  struct Sample {
    std::string key;
    std::uint64_t offset = 0;  ///< of the first of them
    std::optional<TarMember> image{};
    std::optional<std::int64_t> label{};
    std::string fault{};  ///< the first that was found; "": none
  };

  const Image& image(std::int64_t sample) const { return images_[static_cast<std::size_t>(sample)]; }

  void read_file() {
    TarReader reader(files_[file_]);
    std::optional<Sample> sample;
    while (const std::optional<TarMember> member = reader.next()) {
      const std::size_t folder = member->name.rfind('/') + 1;  // 0 where there is none
      const std::size_t dot = member->name.find('.', folder);
      // As Mac OS hides what it knows of a file beside it.
      if (dot == std::string::npos || dot == folder || member->name.compare(folder, 2, "__") == 0) continue;
      if (const std::string key = member->name.substr(0, dot); !sample || sample->key != key) {
        if (sample) add(*sample);
        sample = Sample{.key = key, .offset = member->offset};
      }
      take(*sample, lower_case(member->name.substr(dot + 1)), *member);
    }
    if (sample) add(*sample);
  }

  void take(Sample& sample, const std::string& kind, const TarMember& member) const {
    if (kind == "cls" || kind == "txt") {
      if (kind == "cls" || !sample.label) sample.label = read_label(sample, member);
    } else if (kind == "jpg" || kind == "jpeg" || kind == "png" || kind == "webp") {
      if (sample.image) lacks(sample, "has two images, " + sample.image->name + " and " + member.name);
      if (member.length > kMostImageBytes) {
        lacks(sample, "has an image of " + std::to_string(member.length) + " bytes; expected at most " +
                          std::to_string(kMostImageBytes));
      }
      sample.image = member;
    }
  }

  std::int64_t read_label(Sample& sample, const TarMember& member) const {
    std::string text(std::min(member.length, kMostLabelBytes), '\0');
    files_[file_].read_at(member.offset, std::as_writable_bytes(std::span(text)));
    const std::size_t first = std::min(text.find_first_not_of(" \t\r\n"), text.size());
    const std::string digits = text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
    std::int64_t label = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), label);
    if (error != std::errc() || end != digits.data() + digits.size() || label < 0) {
      refuse(sample, files_[file_].name() + ": " + member.name + " at byte " + std::to_string(member.offset) +
                         " holds " + in_quotes(text) + "; expected a label, an integer ≥ 0");
    }
    return label;
  }

  void add(Sample& sample) {
    if (!sample.image) lacks(sample, "has no image: a .jpg, .jpeg, .png or .webp file");
    if (!sample.label) lacks(sample, "has no label: a .cls or .txt file with an integer");
    if (sample.fault.empty()) {
      images_.push_back({.offset = sample.image->offset,
                         .length = static_cast<std::uint32_t>(sample.image->length),
                         .file = static_cast<std::uint32_t>(file_),
                         .label = *sample.label});
      return;
    }
    if (std::ssize(faults_) == most_bad_) throw InputError(sample.fault + more_than(most_bad_));
    faults_.emplace(size(), sample.fault);
    images_.push_back({.offset = sample.offset, .file = static_cast<std::uint32_t>(file_), .label = -1});
  }

  void lacks(Sample& sample, const std::string& cause) const {
    refuse(sample, files_[file_].name() + ": the sample " + in_quotes(sample.key) + " at byte " +
                       std::to_string(sample.offset) + " " + cause);
  }
  static void refuse(Sample& sample, const std::string& why) {
    if (sample.fault.empty()) sample.fault = why;
  }

  std::vector<RandomAccessFile> files_;
  std::int64_t most_bad_;
  std::size_t file_ = 0;  ///< that is being read, in the constructor
  std::vector<Image> images_;
  std::map<std::int64_t, std::string> faults_;  ///< by sample
};

}  // namespace

Format webdataset_format() {
  return {.name = "WebDataset",
          .recognises =
              [](const FileHead& head) {
                return TarReader::begins({reinterpret_cast<const char*>(head.bytes.data()), head.bytes.size()});
              },
          .open = [](const ChannelFiles& channel) -> std::unique_ptr<Dataset> {
            return std::make_unique<ImageDataset>(channel.origin(), std::make_unique<TarImages>(channel),
                                                  std::vector<std::string>(), channel.options);
          }};
}

}  // namespace lockstep
