// The framing of RecordIO: what begins each part of a record.
//
// Source: dmlc-core, include/dmlc/recordio.h. A part is, little-endian: the magic number 0xced7230a; 3 bits that say
// which part of its record it is and 29 of a length; as many bytes; zeros up to a multiple of 4. A record is one part
// (0), or a first (1), any that follow (2) and a last (3): where its bytes are the magic number at a multiple of 4, its
// writer leaves them out and begins another part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace lockstep {

inline constexpr std::string_view kRecordIoMagic = "\x0a\x23\xd7\xce";

struct RecordIoHeader {
  static constexpr std::size_t kBytes = 8;
  enum class Part : std::uint8_t { kWhole = 0, kFirst = 1, kMiddle = 2, kLast = 3 };

  Part part = Part::kWhole;
  std::uint32_t length = 0;

  bool begins() const { return part == Part::kWhole || part == Part::kFirst; }
  bool ends() const { return part == Part::kWhole || part == Part::kLast; }
  std::uint32_t padded() const { return (length + 3) / 4 * 4; }  ///< in the file
};

/// Nothing when these bytes are too few, or do not begin with the magic number, or say another part.
std::optional<RecordIoHeader> recordio_header(std::span<const std::byte> bytes);

}  // namespace lockstep
