#include "engine/data/formats/CifarFormat.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/data/FileDataset.h"
#include "engine/files/InputFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFineNames = "fine_label_names.txt";
constexpr std::uint64_t kPixels = 3 * 32 * 32;

std::string name_of(const fs::path& path) { return content_name(path.filename().string()); }

bool is_ten(const std::string& name) {
  return (name.starts_with("data_batch_") && name.ends_with(".bin")) || name == "test_batch.bin";
}
bool is_hundred(const fs::path& path, const std::string& name) {
  return (name == "train.bin" || name == "test.bin") && fs::exists(path.parent_path() / kFineNames);
}
bool is_test(const fs::path& path) { return name_of(path).starts_with("test"); }

std::vector<Field> fields_of(bool ten) {
  std::vector<Field> labels = {{.name = "targets", .type = ElementType::kUint8, .bound = ten ? 10 : 100}};
  if (!ten) labels.insert(labels.begin(), {.name = "coarse", .type = ElementType::kUint8, .bound = 20});
  labels.push_back({.name = "inputs", .type = ElementType::kUint8, .sizes = {3, 32, 32}});
  return labels;
}

// What is wrong with the labels, a byte each, that begin a record; "" when nothing is.
std::string fault_of(const RandomAccessFile& file, std::uint64_t offset, const std::vector<Field>& fields) {
  std::vector<std::byte> labels(fields.size() - 1);
  file.read_at(offset, labels);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto label = static_cast<std::int64_t>(labels[i]);
    if (label < fields[i].bound) continue;
    return file.name() + ", at byte " + std::to_string(offset + i) + ": the label is " + std::to_string(label) +
           "; expected 0 … " + std::to_string(fields[i].bound - 1);
  }
  return "";
}

// Those whose labels are none, unless they are more than may be.
std::vector<BadRecord> find_bad_labels(const std::vector<RandomAccessFile>& files, const std::vector<Field>& fields,
                                       std::uint64_t stride, std::int64_t most_bad) {
  std::vector<BadRecord> bad;
  std::int64_t sample = 0;
  for (const RandomAccessFile& file : files) {
    for (std::uint64_t offset = 0; offset < file.size(); offset += stride, ++sample) {
      const std::string fault = fault_of(file, offset, fields);
      if (fault.empty()) continue;
      if (std::ssize(bad) == most_bad) throw InputError(fault + more_than(most_bad));
      bad.push_back({.sample = sample, .why = fault});
    }
  }
  return bad;
}

std::unique_ptr<Dataset> open(const ChannelFiles& channel) {
  const bool ten = is_ten(name_of(channel.files[0]));
  std::vector<FileField::Part> parts;
  const std::vector<Field> fields = fields_of(ten);
  const std::uint64_t stride = fields.size() - 1 + kPixels;
  std::vector<RandomAccessFile> files = open_random_access(channel.files);
  for (std::size_t i = 0; i < files.size(); ++i) {
    const fs::path& path = channel.files[i];
    if (is_ten(name_of(path)) != ten || is_test(path) != is_test(channel.files[0])) {
      throw InputError(channel.origin() + " holds " + name_of(channel.files[0]) + " and " + name_of(path) +
                       ": move one of them to another channel");
    }
    const std::uint64_t size = files[i].size();
    if (size % stride != 0) {
      throw InputError(path.string() + " ends at byte " + std::to_string(size) + ", within a record of " +
                       std::to_string(stride) + " bytes; copy it again");
    }
    parts.push_back({.file = i, .samples = static_cast<std::int64_t>(size / stride)});
  }
  std::vector<FileField> stored;
  for (const Field& field : fields) {
    stored.push_back({.field = field, .stride = stride, .parts = parts});
    stored.back().field.origin = files.size() == 1 ? files[0].name() : channel.origin();
    for (FileField::Part& part : parts) ++part.offset;  // each field but the last is a byte
  }
  std::vector<BadRecord> bad = find_bad_labels(files, fields, stride, channel.options.most_bad);
  return std::make_unique<FileDataset>(channel.origin(), std::move(files), std::move(stored), "", std::move(bad));
}

}  // namespace

Format cifar_format() {
  return {.name = "CIFAR",
          .recognises =
              [](const FileHead& head) {
                const std::string name = fs::path(head.name).filename().string();
                return is_ten(name) || is_hundred(head.path, name);
              },
          .open = open};
}

}  // namespace lockstep
