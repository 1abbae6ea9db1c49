#include "engine/data/KeptIndex.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "common/Crc32c.h"
#include "common/Digest.h"
#include "common/Error.h"
#include "common/File.h"
#include "engine/data/SampledDigest.h"
#include "engine/files/NumberAt.h"
#include "engine/files/PlainFile.h"
#include "job/Json.h"

namespace lockstep {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::string_view kMagic = "LSINDEX1";
const std::string kIndexEnd = ".index";
const std::string kLockEnd = ".lock";    // behind the index's own
constexpr std::size_t kBlock = 1 << 18;  // records that are read at once

// A file's name says what kept it, so that no other version of the files gets in its way.
std::string describe(const ChannelFiles& channel, const std::string& how) {
  std::string text = how;
  for (const fs::path& path : channel.files) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) throw InputError(path.string() + ": " + std::strerror(errno));
    Digest content;
    update_sampled(content, PlainFile(path));
    text += "\n" + path.lexically_relative(channel.directory).string() + " " + std::to_string(status.st_size) + " " +
            std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec) + " " + content.hex();
  }
  return text;
}

// Any bytes as UTF-8, which JSON asks for: each as the character of its number.
std::string as_utf8(std::string_view bytes) {
  std::string text;
  for (const unsigned char byte : bytes) {
    if (byte < 0x80) {
      text += static_cast<char>(byte);
    } else {
      text += static_cast<char>(0xc0 | byte >> 6);
      text += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return text;
}

std::string from_utf8(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto first = static_cast<unsigned char>(text[i]);
    const bool two = first >= 0x80 && i + 1 < text.size();
    bytes += two ? static_cast<char>((first & 0x03) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3f)) : text[i];
  }
  return bytes;
}

template <typename Change>
void change_texts(json& value, const Change& change) {
  if (value.is_string()) value = change(value.get_ref<const std::string&>());
  if (!value.is_structured()) return;
  for (json& member : value) change_texts(member, change);
}

/// Writes, and counts what is written into a checksum.
class CheckedOutput {
 public:
  explicit CheckedOutput(const fs::path& path) : file_(path) {}
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  template <typename Number>
  void write_number(Number number) {
    write(std::as_bytes(std::span(&number, 1)));
  }
  void write(std::span<const std::byte> bytes) {
    file_.write(bytes);
    sum_ = crc32c(bytes, sum_);
  }
  void close() {
    write_number(sum_);
    file_.close();
  }

 private:
  OutputFile file_;
  std::uint32_t sum_ = 0;
};

/// Reads from the start to the end.
class CheckedInput {
 public:
  explicit CheckedInput(const fs::path& path) : file_(path) {}
  std::uint64_t left() const { return file_.size() - at_; }
  void read(std::span<std::byte> bytes) {
    file_.read_at(at_, bytes);
    at_ += bytes.size();
    sum_ = crc32c(bytes, sum_);
  }
  template <typename Number>
  Number read_number() {
    Number number{};
    read(std::as_writable_bytes(std::span(&number, 1)));
    return number;
  }
  std::string read_text(std::size_t count) {
    std::string text(count, '\0');
    read(std::as_writable_bytes(std::span(text)));
    return text;
  }
  /// Whether the next number is the checksum of all before, and the last.
  bool ends() {
    const std::uint32_t sum = sum_;
    return left() == sizeof sum && read_number<std::uint32_t>() == sum;
  }

 private:
  PlainFile file_;
  std::uint64_t at_ = 0;
  std::uint32_t sum_ = 0;
};

// Nothing for a file that says too little of itself.
std::optional<FoundRecords> read(const fs::path& path, const std::string& identity) {
  CheckedInput input(path);
  if (input.left() < kMagic.size() + sizeof(std::uint64_t) || input.read_text(kMagic.size()) != kMagic) return {};
  const auto header_bytes = input.read_number<std::uint64_t>();
  if (header_bytes > std::min<std::uint64_t>(input.left(), JsonLimits().bytes)) return {};
  json header = parse_json(input.read_text(header_bytes), path.string());
  change_texts(header, from_utf8);
  if (header.at("identity") != identity) return {};
  FoundRecords found{.findings = std::move(header.at("findings"))};
  std::vector<std::uint32_t> lengths;
  for (const json& file : header.at("files")) {
    found.index.begin_file(static_cast<std::uint64_t>(read_int(file.at("begin"), 0)));
    auto left = static_cast<std::uint64_t>(read_int(file.at("records"), 0));
    if (left > input.left() / sizeof(std::uint32_t)) return {};
    for (; left > 0; left -= lengths.size()) {
      lengths.resize(std::min<std::uint64_t>(left, kBlock));
      input.read(std::as_writable_bytes(std::span(lengths)));
      for (const std::uint32_t length : lengths) found.index.add(length);
    }
  }
  if (!input.ends()) return {};
  return found;
}

}  // namespace

KeptIndex::KeptIndex(const fs::path& directory, const ChannelFiles& channel, const std::string& how)
    : identity_(describe(channel, how)) {
  Digest name;
  name.update(identity_);
  path_ = directory / (name.hex() + kIndexEnd);
  std::error_code error;
  fs::create_directories(directory, error);
  const fs::path lock = path_.string() + kLockEnd;
  lock_ = FileDescriptor(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!lock_) throw SystemError("data_index_dir: cannot write " + lock.string() + ": " + std::strerror(errno));
  ::futimens(lock_.get(), nullptr);  // whose time says when it was last asked for
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if ((errno != EWOULDBLOCK && errno != EINTR) || std::chrono::steady_clock::now() > end) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  remove_abandoned_staging(directory, path_.stem().string());
}

std::optional<FoundRecords> KeptIndex::find() const {
  if (!fs::exists(path_)) return {};
  try {
    return read(path_, identity_);
  } catch (const InputError&) {
    return {};
  } catch (const json::exception&) {
    return {};
  }
}

std::string KeptIndex::keep(const RecordIndex& index, json findings) const {
  try {
    write(index, std::move(findings));
    return "";
  } catch (const Error& error) {
    return std::string("data_index_dir keeps nothing: ") + error.what();
  }
}

void KeptIndex::write(const RecordIndex& index, json findings) const {
  StagingDirectory staging(path_.parent_path(), path_.stem().string());
  CheckedOutput output(staging.path() / path_.filename());
  json header = {{"identity", identity_}, {"findings", std::move(findings)}, {"files", json::array()}};
  for (std::size_t file = 0; file < index.files(); ++file) {
    header["files"].push_back({{"begin", index.begin(file)}, {"records", index.records(file)}});
  }
  change_texts(header, as_utf8);
  const std::string text = header.dump();
  output.write(kMagic);
  output.write_number<std::uint64_t>(text.size());
  output.write(text);
  std::vector<std::uint32_t> lengths;
  for (std::int64_t record = 0; record < index.size(); ++record) {
    lengths.push_back(index.place(record).length);
    if (lengths.size() < kBlock && record + 1 < index.size()) continue;
    output.write(std::as_bytes(std::span(lengths)));
    lengths.clear();
  }
  output.close();
  staging.publish();
  remove_oldest();
}

void KeptIndex::remove_oldest() const {
  std::vector<std::pair<fs::file_time_type, fs::path>> locks;
  std::error_code error;  // what cannot be removed stays
  for (const fs::directory_entry& entry : fs::directory_iterator(path_.parent_path(), error)) {
    if (entry.path().string().ends_with(kIndexEnd + kLockEnd)) {
      locks.emplace_back(entry.last_write_time(error), entry.path());
    }
  }
  std::ranges::sort(locks);
  for (std::size_t i = 0; i + kMostKept < locks.size(); ++i) {
    const FileDescriptor lock(::open(locks[i].second.c_str(), O_RDWR | O_CLOEXEC));
    if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) continue;
    fs::remove(fs::path(locks[i].second).replace_extension(), error);
    fs::remove(locks[i].second, error);
  }
}

}  // namespace lockstep
