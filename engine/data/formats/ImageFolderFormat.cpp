#include "engine/data/formats/ImageFolderFormat.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/BadRecord.h"
#include "engine/data/SampledDigest.h"
#include "engine/data/images/EncodedImage.h"
#include "engine/data/images/ImageDataset.h"
#include "engine/data/images/ImageList.h"
#include "engine/data/images/ImageManifest.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kDigested = 64;  // files whose content is in the digest

using Faults = std::map<std::int64_t, std::string>;

/// Files, each opened when it is read.
class ImageFiles : public ImageSource {
 public:
  /// `names`: within `directory`. `faults`: by sample, why there is no such image.
  ImageFiles(fs::path directory, std::vector<std::string> names, std::vector<std::int32_t> labels, Faults faults = {})
      : directory_(std::move(directory)),
        names_(std::move(names)),
        labels_(std::move(labels)),
        faults_(std::move(faults)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(names_.size()); }
  std::int64_t label(std::int64_t sample) const override { return labels_[static_cast<std::size_t>(sample)]; }
  std::string place(std::int64_t sample) const override { return path(sample).string(); }
  void read(std::int64_t sample, std::vector<std::byte>& bytes) const override {
    if (const auto fault = faults_.find(sample); fault != faults_.end()) throw InputError(fault->second);
    const PlainFile file(path(sample));
    if (file.size() > kMostImageBytes) {
      throw InputError(file.name() + " has " + std::to_string(file.size()) + " bytes; an image has at most " +
                       std::to_string(kMostImageBytes));
    }
    bytes.resize(file.size());
    file.read_at(0, bytes);
  }
  void update(Digest& digest) const override {
    for (const std::string& name : names_) digest.update(name);
    const std::int64_t digested = std::min(kDigested, size());
    for (std::int64_t i = 0; i < digested; ++i) {
      const std::int64_t sample = i * (size() - 1) / std::max<std::int64_t>(digested - 1, 1);
      if (!faults_.contains(sample)) update_sampled(digest, RandomAccessFile(path(sample)));
    }
  }

 private:
  fs::path path(std::int64_t sample) const { return directory_ / names_[static_cast<std::size_t>(sample)]; }

  fs::path directory_;
  std::vector<std::string> names_;
  std::vector<std::int32_t> labels_;
  Faults faults_;
};

std::vector<std::string> classes_of(const ChannelFiles& channel, const std::vector<std::string>& names) {
  std::set<std::string> classes;
  for (const std::string& name : names) {
    const std::size_t end = name.find('/');
    if (end == std::string::npos) {
      throw InputError(channel.origin() + " holds images without a class, as " + name +
                       ": put each into a directory that is named after its class, as in " +
                       (channel.directory / "cat" / name).string());
    }
    classes.insert(name.substr(0, end));
  }
  return {classes.begin(), classes.end()};
}

// The categories of the channel that is trained on, which must have these classes.
std::vector<std::string> categories_like(const ChannelFiles& channel, const std::vector<std::string>& classes) {
  const auto target = channel.options.like->find("target");
  const std::vector<std::string> none;
  const std::vector<std::string>& known = target ? channel.options.like->fields[*target].categories : none;
  for (const std::string& name : classes) {
    if (std::ranges::binary_search(known, name)) continue;
    throw InputError(channel.origin() + " holds images of the class " + in_quotes(name) +
                     ", which the training channel does not have; its classes are " +
                     (known.empty() ? "none" : join(known, ", ")));
  }
  return known;
}

bool is_list(const fs::path& path) { return path.extension() == ".lst"; }

// By its first line. im2rec leaves lists beside its records, too: those mean nothing any more.
bool lists_images(const FileHead& head) {
  if (!is_list(head.path) || fs::exists(fs::path(head.path).replace_extension(".rec"))) return false;
  const std::string_view text(reinterpret_cast<const char*>(head.bytes.data()), head.bytes.size());
  const std::string_view line = text.substr(0, text.find_first_of("\r\n"));
  const std::string_view kind = line.substr(std::min(line.rfind('.'), line.size()));
  return std::ranges::count(line, '\t') >= 2 &&
         (kind == ".jpg" || kind == ".jpeg" || kind == ".png" || kind == ".webp" || kind == ".JPG" || kind == ".JPEG" ||
          kind == ".PNG");
}

// The name of an image within the channel, of which a list beside it in `beside` says the path; of a file in S3 it may
// be any part of the address behind a slash. Nothing when there is none.
std::optional<std::string> find_image(const std::vector<std::string>& found, const fs::path& beside, std::string path) {
  constexpr std::string_view kS3 = "s3://";
  const bool in_s3 = path.starts_with(kS3);
  if (in_s3) path.erase(0, kS3.size());
  while (true) {
    std::string name = (beside / path).lexically_normal().string();
    if (std::ranges::binary_search(found, name)) return name;
    const std::size_t slash = path.find('/');
    if (!in_s3 || slash == std::string::npos) return std::nullopt;
    path.erase(0, slash + 1);
  }
}

std::unique_ptr<Dataset> open_lists(const ChannelFiles& channel, const std::vector<std::string>& found) {
  std::vector<std::string> names;
  std::vector<std::int32_t> labels;
  Faults faults;
  const std::int64_t most_bad = channel.options.most_bad;
  const auto chosen = channel.options.columns.find("target");  // of a manifest's labels
  const std::string label = chosen == channel.options.columns.end() ? "" : chosen->second;
  bool manifests = false;
  for (const fs::path& path : channel.files) {
    if (!is_list(path) && !is_image_manifest(path)) continue;
    manifests |= !is_list(path);
    const fs::path beside = path.parent_path().lexically_relative(channel.directory);
    for (const ListedImage& image :
         is_list(path) ? read_image_list(path, most_bad) : read_image_manifest(path, label, most_bad)) {
      const auto name = image.fault.empty() ? find_image(found, beside, image.path) : std::nullopt;
      if (!name) {
        const std::string fault = !image.fault.empty()
                                      ? image.fault
                                      : image.place + ": the " + (is_list(path) ? "list" : "augmented manifest") +
                                            " names " + in_quotes(image.path) +
                                            ", which is no JPEG, PNG or WebP image of the channel";
        if (std::ssize(faults) == most_bad) throw InputError(fault + more_than(most_bad));
        faults.emplace(std::ssize(names), fault);
      }
      names.push_back(name.value_or(image.path));
      labels.push_back(image.label);
    }
  }
  return std::make_unique<ImageDataset>(
      channel.origin(),
      std::make_unique<ImageFiles>(channel.directory, std::move(names), std::move(labels), std::move(faults)),
      std::vector<std::string>(), channel.options, manifests && !label.empty() ? label : "target");
}

std::unique_ptr<Dataset> open(const ChannelFiles& channel) {
  std::vector<std::string> names;
  for (const fs::path& path : channel.files) {
    if (!is_list(path) && !is_image_manifest(path))
      names.push_back(path.lexically_relative(channel.directory).string());
  }
  if (names.size() < channel.files.size()) {
    std::ranges::sort(names);
    return open_lists(channel, names);
  }
  std::vector<std::string> categories = classes_of(channel, names);
  if (channel.options.like != nullptr) categories = categories_like(channel, categories);
  std::vector<std::int32_t> labels;
  for (const std::string& name : names) {
    const auto found = std::ranges::lower_bound(categories, name.substr(0, name.find('/')));
    labels.push_back(static_cast<std::int32_t>(found - categories.begin()));
  }
  return std::make_unique<ImageDataset>(
      channel.origin(), std::make_unique<ImageFiles>(channel.directory, std::move(names), std::move(labels)),
      std::move(categories), channel.options);
}

}  // namespace

Format image_folder_format() {
  return {.name = "images",
          .recognises =
              [](const FileHead& head) {
                if (lists_images(head)) return true;
                const std::string_view beginning(reinterpret_cast<const char*>(head.bytes.data()), head.bytes.size());
                if (is_image_manifest(head.name, beginning)) return true;
                // A packed one would be unpacked whenever it is read.
                return EncodedImage::begins({reinterpret_cast<const char*>(head.bytes.data()), head.bytes.size()}) &&
                       head.path.string().ends_with(head.name);
              },
          .open = open};
}

}  // namespace lockstep
