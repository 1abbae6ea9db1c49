#include "engine/artifacts/tensorflow/TensorBundle.h"

#include <leveldb/env.h>
#include <leveldb/iterator.h>
#include <leveldb/options.h>
#include <leveldb/table.h>
#include <leveldb/table_builder.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <new>

#include "common/Crc32c.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/tensorflow/ElementTypes.h"

namespace lockstep {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "bundles are written in the machine's byte order");

namespace {

constexpr std::uint64_t kMaxIndex = 1 << 30;
constexpr std::size_t kBlockSize = 256 << 10;  // as TensorFlow writes it

using Entry = tensorflow::BundleEntryProto;

fs::path data_path(const fs::path& prefix) { return prefix.string() + ".data-00000-of-00001"; }
fs::path index_path(const fs::path& prefix) { return prefix.string() + ".index"; }

// Checksums are stored masked, so that a checksum over bytes that hold one stays meaningful.
std::uint32_t masked(std::uint32_t crc) { return std::rotr(crc, 15) + 0xA282EAD8U; }

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

template <typename T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

class MemoryFile : public leveldb::WritableFile {
 public:
  leveldb::Status Append(const leveldb::Slice& data) override {
    content_.append(data.data(), data.size());
    return leveldb::Status::OK();
  }
  leveldb::Status Close() override { return leveldb::Status::OK(); }
  leveldb::Status Flush() override { return leveldb::Status::OK(); }
  leveldb::Status Sync() override { return leveldb::Status::OK(); }
  const std::string& content() const { return content_; }

 private:
  std::string content_;
};

class MemoryReader : public leveldb::RandomAccessFile {
 public:
  explicit MemoryReader(const std::string& content) : content_(content) {}
  leveldb::Status Read(std::uint64_t offset, std::size_t size, leveldb::Slice* result, char*) const override {
    if (offset > content_.size() || size > content_.size() - offset) {
      return leveldb::Status::Corruption("a block lies outside the file");
    }
    *result = leveldb::Slice(content_.data() + offset, size);
    return leveldb::Status::OK();
  }

 private:
  const std::string& content_;
};

std::string index_table(const std::map<std::string, Entry>& entries) {
  MemoryFile index;
  leveldb::Options options;
  options.compression = leveldb::kNoCompression;
  options.block_size = kBlockSize;
  leveldb::TableBuilder table(options, &index);
  tensorflow::BundleHeaderProto header;
  header.set_num_shards(1);
  header.mutable_version()->set_producer(1);
  table.Add("", header.SerializeAsString());
  for (const auto& [key, entry] : entries) table.Add(key, entry.SerializeAsString());
  if (const leveldb::Status status = table.Finish(); !status.ok()) throw InternalError(status.ToString());
  return index.content();
}

// Every entry but the header. Throws InputError for anything but a table that index_table makes.
std::map<std::string, Entry> read_index(const fs::path& path) {
  const std::string content = read_file(path, kMaxIndex);
  const auto require = [&](bool condition, const std::string& what) {
    if (!condition) throw InputError(path.string() + " is damaged: " + what);
  };
  MemoryReader file(content);
  leveldb::Options options;
  options.paranoid_checks = true;
  leveldb::ReadOptions read;
  read.verify_checksums = true;
  std::map<std::string, Entry> entries;
  try {
    leveldb::Table* opened = nullptr;
    const leveldb::Status status = leveldb::Table::Open(options, &file, content.size(), &opened);
    require(status.ok(), status.ToString());
    const std::unique_ptr<leveldb::Table> table(opened);
    const std::unique_ptr<leveldb::Iterator> iterator(table->NewIterator(read));
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      const leveldb::Slice value = iterator->value();
      const std::string key = iterator->key().ToString();
      if (key.empty()) continue;
      require(entries[key].ParseFromArray(value.data(), static_cast<int>(value.size())),
              "the entry of " + in_quotes(key) + " is not valid");
    }
    require(iterator->status().ok(), iterator->status().ToString());
  } catch (const std::bad_alloc&) {  // a block's size has no checksum where the footer gives it
    require(false, "it names a block larger than memory");
  }
  // The parts that have no checksum: header, footer, and the blocks that hold nothing.
  require(index_table(entries) == content, "it is none that Lockstep wrote");
  return entries;
}

}  // namespace

struct TensorBundleWriter::Entries {
  std::map<std::string, Entry> by_key;
};

TensorBundleWriter::TensorBundleWriter(fs::path prefix)
    : prefix_(std::move(prefix)), data_(data_path(prefix_)), entries_(std::make_unique<Entries>()) {}

TensorBundleWriter::~TensorBundleWriter() = default;

void TensorBundleWriter::write(std::string_view bytes) {
  data_.write(bytes);
  written_ += static_cast<std::int64_t>(bytes.size());
}

void TensorBundleWriter::add(const std::string& key, const TensorView& tensor) {
  Entry& entry = entries_->by_key[key];
  entry.set_dtype(to_tensorflow(tensor.type));
  *entry.mutable_shape() = shape_to_tensorflow(tensor.sizes);
  entry.set_offset(written_);
  std::uint32_t crc = 0;
  for_each_piece(tensor, [&](std::string_view piece) {
    crc = crc32c(bytes_of(piece), crc);
    write(piece);
  });
  entry.set_size(written_ - entry.offset());
  entry.set_crc32c(masked(crc));
}

// A string tensor: the elements' lengths as varints, a checksum of the lengths as 32-bit integers, the elements.
void TensorBundleWriter::add(const std::string& key, const std::string& text) {
  if (text.size() > UINT32_MAX) throw InternalError("a text of more than 4 GiB in a TensorBundle");
  const std::string length = raw(static_cast<std::uint32_t>(text.size()));
  const std::string checksum = raw(masked(crc32c(bytes_of(length))));
  Entry& entry = entries_->by_key[key];
  entry.set_dtype(tensorflow::DT_STRING);
  entry.mutable_shape();
  entry.set_offset(written_);
  std::string varint;
  std::size_t rest = text.size();
  for (; rest >= 0x80; rest >>= 7) varint += static_cast<char>(rest | 0x80);
  varint += static_cast<char>(rest);
  for (const std::string& part : {varint, checksum, text}) write(part);
  entry.set_size(written_ - entry.offset());
  entry.set_crc32c(masked(crc32c(bytes_of(text), crc32c(bytes_of(checksum), crc32c(bytes_of(length))))));
}

void TensorBundleWriter::finish() {
  data_.close();
  OutputFile file(index_path(prefix_));
  file.write(index_table(entries_->by_key));
  file.close();
}

struct TensorBundleReader::Entries {
  std::map<std::string, Entry> by_key;

  const Entry& at(const std::string& key, const fs::path& path) const {
    const auto found = by_key.find(key);
    if (found == by_key.end()) throw InputError(path.string() + " holds no " + in_quotes(key));
    return found->second;
  }
};

namespace {

std::string read_range(const fs::path& path, const Entry& entry, const std::string& key) {
  std::string bytes(static_cast<std::size_t>(entry.size()), '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.seekg(entry.offset()) || !file.read(bytes.data(), entry.size())) {
    throw InputError("cannot read " + in_quotes(key) + " from " + path.string());
  }
  return bytes;
}

void require_checksum(std::uint32_t crc, const Entry& entry, const std::string& key, const fs::path& path) {
  if (masked(crc) == entry.crc32c()) return;
  throw InputError(path.string() + " is damaged: the checksum of " + in_quotes(key) + " does not match its " +
                   std::to_string(entry.size()) + " bytes at " + std::to_string(entry.offset()));
}

}  // namespace

TensorBundleReader::TensorBundleReader(fs::path prefix)
    : data_path_(data_path(prefix)), entries_(std::make_unique<Entries>()) {
  const fs::path index = index_path(prefix);
  entries_->by_key = read_index(index);
  std::error_code error;
  const std::uintmax_t available = fs::file_size(data_path_, error);
  if (error) throw InputError("cannot read " + data_path_.string() + ": " + error.message());
  for (const auto& [key, entry] : entries_->by_key) {
    if (entry.shard_id() != 0 || entry.offset() < 0 || entry.size() < 0) {
      throw InputError(index.string() + " is damaged: " + in_quotes(key) + " has no valid place");
    }
    if (static_cast<std::uint64_t>(entry.offset()) + static_cast<std::uint64_t>(entry.size()) > available) {
      throw InputError(data_path_.string() + " is truncated: " + in_quotes(key) + " ends after its " +
                       std::to_string(available) + " bytes");
    }
  }
}

TensorBundleReader::TensorBundleReader(TensorBundleReader&&) noexcept = default;
TensorBundleReader::~TensorBundleReader() = default;

std::vector<std::string> TensorBundleReader::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, entry] : entries_->by_key) keys.push_back(key);
  return keys;
}

BundleTensor TensorBundleReader::tensor(const std::string& key) const {
  const Entry& entry = entries_->at(key, data_path_);
  BundleTensor tensor{from_tensorflow(entry.dtype()), shape_from_tensorflow(entry.shape()), {}};
  std::uint64_t expected = size_of(tensor.type);
  for (const std::int64_t size : tensor.sizes) {
    if (size < 0 || __builtin_mul_overflow(expected, static_cast<std::uint64_t>(size), &expected)) {
      throw InputError("the sizes of " + in_quotes(key) + " are not valid: " + join(tensor.sizes, ", "));
    }
  }
  if (expected != static_cast<std::uint64_t>(entry.size())) {
    throw InputError(in_quotes(key) + " of " + data_path_.string() + " has " + std::to_string(entry.size()) +
                     " bytes; its sizes ask for " + std::to_string(expected));
  }
  tensor.bytes = read_range(data_path_, entry, key);
  require_checksum(crc32c(bytes_of(tensor.bytes)), entry, key, data_path_);
  return tensor;
}

std::string TensorBundleReader::text(const std::string& key) const {
  const Entry& entry = entries_->at(key, data_path_);
  const std::string bytes = read_range(data_path_, entry, key);
  std::size_t at = 0;
  std::uint64_t length = 0;
  bool complete = false;
  while (!complete && at < std::min<std::size_t>(bytes.size(), 5)) {
    const auto byte = static_cast<unsigned char>(bytes[at]);
    length |= static_cast<std::uint64_t>(byte & 0x7F) << (7 * at++);
    complete = byte < 0x80;
  }
  if (entry.dtype() != tensorflow::DT_STRING || !complete || bytes.size() != at + sizeof(std::uint32_t) + length) {
    throw InputError(in_quotes(key) + " of " + data_path_.string() + " is not one text");
  }
  const std::uint32_t crc = crc32c(bytes_of(raw(static_cast<std::uint32_t>(length))));
  require_checksum(crc32c(bytes_of(std::string_view(bytes).substr(at)), crc), entry, key, data_path_);
  return bytes.substr(at + sizeof(std::uint32_t));
}

}  // namespace lockstep
