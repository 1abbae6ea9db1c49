// Where each record of some files lies.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace lockstep {

/// Built by going through the files once: `begin_file`, then `add` for each of its records, which lie one behind the
/// other. Takes little more than 4 bytes a record.
class RecordIndex {
 public:
  struct Place {
    std::size_t file = 0;
    std::int64_t record = 0;              ///< within the file
    std::uint64_t offset = 0;             ///< of its first byte
    std::uint32_t length = 0;             ///< in bytes
    const std::string* damage = nullptr;  ///< why it cannot be read, where that is known
  };

  /// The records that follow are the next file's; the first begins at `offset`.
  void begin_file(std::uint64_t offset);
  void add(std::uint32_t length);
  /// The next record cannot be read, and nothing tells where it ends: it counts as one of no bytes.
  void add_damaged(std::string why);
  /// The files of `other` and their records come behind.
  void append(RecordIndex other);

  std::int64_t size() const { return size_; }
  bool intact() const { return damage_.empty(); }  ///< no record is known to be unreadable
  std::size_t files() const { return files_.size(); }
  std::uint64_t begin(std::size_t file) const;  ///< as begin_file was told
  std::int64_t records(std::size_t file) const { return files_[file].records; }
  /// `record`: 0 … size() - 1.
  Place place(std::int64_t record) const;

 private:
  static constexpr std::size_t kBlock = 64;  ///< records
  struct Block {
    std::uint64_t offset = 0;  ///< of its first record
    std::array<std::uint32_t, kBlock> lengths{};
  };
  struct File {
    std::int64_t first = 0;  ///< its first record
    std::int64_t records = 0;
    std::uint64_t end = 0;       ///< offset of what follows its last record
    std::deque<Block> blocks{};  ///< which grows without a copy
  };
  std::vector<File> files_;
  std::map<std::int64_t, std::string> damage_;  ///< by record
  std::int64_t size_ = 0;
};

/// "data.csv, record 3, at byte 12", for messages, of record 2.
std::string record_place(const std::string& file, std::int64_t record, std::uint64_t offset);

}  // namespace lockstep
