#include "engine/files/ZipFile.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/files/Deflate.h"
#include "engine/files/NumberAt.h"

namespace lockstep {

namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kEntry = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50;
constexpr std::uint32_t kEnd64Place = 0x07064b50;
constexpr std::size_t kLocalHeaderBytes = 30;
constexpr std::size_t kEntryBytes = 46;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kEnd64Bytes = 56;
constexpr std::size_t kEnd64PlaceBytes = 20;
constexpr std::uint64_t kMostComment = 0xFFFF;
constexpr std::uint64_t kMostDirectory = std::uint64_t{64} << 20;
constexpr std::uint32_t kSaidIn64Bits = 0xFFFFFFFF;
constexpr std::uint16_t kExtra64 = 1;
constexpr std::uint16_t kStored = 0;
constexpr std::uint16_t kDeflated = 8;

[[noreturn]] void damaged(const std::string& what) { throw InputError("as a zip file it is damaged: " + what); }

template <typename Number>
Number number_at(std::span<const std::byte> bytes, std::size_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(Number)) damaged("a record ends early");
  return lockstep::number_at<Number>(bytes.data() + offset);
}

// The sizes and the place of an entry that 32 bits do not hold, in the order in which its record says so.
class Wide {
 public:
  explicit Wide(std::span<const std::byte> extra) {
    while (extra.size() >= 4) {
      const std::size_t length = number_at<std::uint16_t>(extra, 2);
      if (length > extra.size() - 4) damaged("a record ends early");
      if (number_at<std::uint16_t>(extra, 0) == kExtra64) fields_ = extra.subspan(4, length);
      extra = extra.subspan(4 + length);
    }
  }
  std::uint64_t of(std::uint32_t narrow) {
    if (narrow != kSaidIn64Bits) return narrow;
    const auto wide = number_at<std::uint64_t>(fields_, 0);
    fields_ = fields_.subspan(sizeof wide);
    return wide;
  }

 private:
  std::span<const std::byte> fields_;
};

}  // namespace

ZipFile::ZipFile(const std::filesystem::path& path, ZipNames names) : file_(path) {
  const std::uint64_t tail_at = file_.size() - std::min<std::uint64_t>(file_.size(), kEndBytes + kMostComment);
  const std::vector<std::byte> tail = bytes_at(tail_at, file_.size() - tail_at);
  std::optional<std::size_t> end;
  for (std::size_t i = tail.size() < kEndBytes ? 0 : tail.size() - kEndBytes + 1; i-- > 0 && !end;) {
    if (number_at<std::uint32_t>(tail, i) == kEnd) end = i;
  }
  if (!end) damaged("it has no directory of entries; is it truncated?");
  const std::span<const std::byte> record = std::span(tail).subspan(*end);
  std::uint64_t count = number_at<std::uint16_t>(record, 10);
  std::uint64_t bytes = number_at<std::uint32_t>(record, 12);
  std::uint64_t at = number_at<std::uint32_t>(record, 16);
  const std::uint64_t end_at = tail_at + *end;
  std::uint64_t directory_end = end_at;
  if (end_at >= kEnd64PlaceBytes) {
    const std::vector<std::byte> place = bytes_at(end_at - kEnd64PlaceBytes, kEnd64PlaceBytes);
    if (number_at<std::uint32_t>(place, 0) == kEnd64Place) {
      directory_end = number_at<std::uint64_t>(place, 8);
      const std::vector<std::byte> wide = bytes_at(directory_end, kEnd64Bytes);
      if (number_at<std::uint32_t>(wide, 0) != kEnd64) damaged("its end is not where it says");
      count = number_at<std::uint64_t>(wide, 32);
      bytes = number_at<std::uint64_t>(wide, 40);
      at = number_at<std::uint64_t>(wide, 48);
    }
  }
  if (bytes > kMostDirectory || count > bytes / kEntryBytes) damaged("its directory is of impossible size");
  if (at > directory_end || directory_end - at != bytes) {
    damaged("its directory of " + std::to_string(bytes) + " bytes at byte " + std::to_string(at) +
            " does not end at byte " + std::to_string(directory_end) +
            ", where its end begins; is it several files behind each other?");
  }
  const std::vector<std::byte> directory = bytes_at(at, bytes);
  std::span<const std::byte> rest = directory;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (number_at<std::uint32_t>(rest, 0) != kEntry) damaged("its directory holds something that is no entry");
    const std::size_t length = kEntryBytes + number_at<std::uint16_t>(rest, 28) + number_at<std::uint16_t>(rest, 30) +
                               number_at<std::uint16_t>(rest, 32);
    if (length > rest.size()) damaged("its directory is truncated");
    add_entry(rest.first(length));
    rest = rest.subspan(length);
  }
  if (names == ZipNames::kWithinFolder) leave_folder();
}

void ZipFile::add_entry(std::span<const std::byte> record) {
  const std::size_t name_length = number_at<std::uint16_t>(record, 28);
  const std::string name(reinterpret_cast<const char*>(record.data()) + kEntryBytes, name_length);
  const auto flags = number_at<std::uint16_t>(record, 8);
  const auto method = number_at<std::uint16_t>(record, 10);
  if ((flags & 1) != 0 || (method != kStored && method != kDeflated)) {
    throw InputError("its entry " + in_quotes(name) + " is encrypted, or packed in a way that is not known");
  }
  Wide wide(record.subspan(kEntryBytes + name_length, number_at<std::uint16_t>(record, 30)));
  ZipRecord entry;
  entry.deflated = method == kDeflated;
  entry.checksum = number_at<std::uint32_t>(record, 16);
  entry.unpacked = wide.of(number_at<std::uint32_t>(record, 24));
  entry.packed = wide.of(number_at<std::uint32_t>(record, 20));
  entry.header = wide.of(number_at<std::uint32_t>(record, 42));
  if (entry.packed > file_.size() || (!entry.deflated && entry.packed != entry.unpacked) ||
      entry.unpacked / kMostCompression > entry.packed) {
    damaged("its entry " + in_quotes(name) + " is of impossible size");
  }
  if (!entries_.emplace(name, entry).second) damaged("it holds " + in_quotes(name) + " twice");
}

void ZipFile::leave_folder() {
  if (entries_.empty()) return;
  const std::string folder = entries_.begin()->first.substr(0, entries_.begin()->first.find('/') + 1);
  if (!std::ranges::all_of(entries_, [&](const auto& entry) { return entry.first.starts_with(folder); })) return;
  std::map<std::string, ZipRecord> within;
  for (const auto& [name, entry] : entries_) within.emplace(name.substr(folder.size()), entry);
  entries_ = std::move(within);
}

const ZipRecord& ZipFile::record(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) throw InputError(name + " is missing");
  return found->second;
}

std::vector<std::string> ZipFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

std::unique_ptr<InputFile> ZipFile::open(const std::string& name, const std::string& called) const {
  const ZipRecord& wanted = record(name);
  const std::vector<std::byte> header = bytes_at(wanted.header, kLocalHeaderBytes);
  if (number_at<std::uint32_t>(header, 0) != kLocalHeader) damaged(in_quotes(name) + " is not where it says");
  const std::uint64_t data =
      wanted.header + kLocalHeaderBytes + number_at<std::uint16_t>(header, 26) + number_at<std::uint16_t>(header, 28);
  if (data > file_.size() || wanted.packed > file_.size() - data) damaged("it is truncated");
  return std::make_unique<ZipMember>(called, file_, wanted, data);
}

void ZipFile::read(const std::string& name, std::span<std::byte> bytes) const {
  if (bytes.size() != size(name)) throw InternalError("an entry is not read into memory of its size");
  const std::unique_ptr<InputFile> entry = open(name, "its entry " + in_quotes(name));
  entry->read(bytes.data(), bytes.size());
  std::byte beyond{};
  entry->read(&beyond, 1);  // an empty entry is checked, too
}

std::string ZipFile::text(const std::string& name, std::uint64_t most_bytes) const {
  if (size(name) > most_bytes) {
    throw InputError(name + " has " + std::to_string(size(name)) + " bytes; at most " + std::to_string(most_bytes) +
                     " are read");
  }
  std::string text(size(name), '\0');
  read(name, std::as_writable_bytes(std::span(text)));
  return text;
}

std::vector<std::byte> ZipFile::bytes_at(std::uint64_t offset, std::uint64_t count) const {
  if (offset > file_.size() || count > file_.size() - offset) damaged("it is truncated");
  std::vector<std::byte> bytes(count);
  file_.read_at(offset, bytes);
  return bytes;
}

void check_zip_file(const std::filesystem::path& path) {
  try {
    const ZipFile file(path);
    std::vector<std::byte> piece(std::size_t{1} << 20);
    for (const std::string& name : file.names()) {
      const std::unique_ptr<InputFile> entry = file.open(name, "its entry " + in_quotes(name));
      while (entry->read(piece.data(), piece.size()) == piece.size()) continue;
    }
  } catch (const InputError& error) {
    const std::string message = error.what();
    throw InputError(message.starts_with(path.string()) ? message : path.string() + ": " + message);
  }
}

}  // namespace lockstep
