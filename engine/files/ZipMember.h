// The content of one entry of a zip file.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/files/InputFile.h"
#include "engine/files/PlainFile.h"

namespace lockstep {

/// Where an entry lies, and what the directory of its zip file says of it.
struct ZipRecord {
  std::uint64_t header = 0;  ///< place of its local header
  std::uint64_t packed = 0;  ///< bytes, which follow the local header
  std::uint64_t unpacked = 0;
  std::uint32_t checksum = 0;  ///< CRC-32 of what is unpacked
  bool deflated = false;
};

/// Unpacks an entry as it is read, so that memory holds a piece of it at a time. Reading its last byte checks that
/// there are neither more nor fewer than the directory says, and their checksum: InputError otherwise.
class ZipMember : public InputFile {
 public:
  /// `file`, the zip file, must outlive this; the packed bytes begin at `data`. `name` is what messages call the entry.
  ZipMember(std::string name, const PlainFile& file, const ZipRecord& record, std::uint64_t data);
  ~ZipMember() override;

  std::uintmax_t most_content() const override { return record_.unpacked; }

 private:
  std::size_t read_some(void* out, std::size_t count) override;
  /// The next packed bytes: `count` or fewer, but one at least.
  std::size_t take_some(std::byte* out, std::size_t count);
  /// The next unpacked bytes: `count` or fewer; 0 only where they end.
  std::size_t inflate_some(std::byte* out, std::size_t count);
  void check_end();
  [[noreturn]] void refuse(const std::string& cause) const;

  const PlainFile& file_;
  const ZipRecord record_;
  const std::uint64_t data_;
  std::uint64_t taken_ = 0;     ///< packed bytes read so far
  std::uint64_t made_ = 0;      ///< unpacked bytes so far
  unsigned long checksum_ = 0;  ///< of those
  bool checked_ = false;        ///< all of it, at its end
  z_stream stream_{};
  bool stream_ended_ = false;
  std::vector<std::byte> input_{};  ///< packed bytes that the stream is at
};

}  // namespace lockstep
