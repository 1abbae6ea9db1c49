// Protobuf messages and files of records as a test wants them, also such as no honest program writes.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/Crc32c.h"

namespace lockstep {

template <typename Number>
std::string little_endian(Number number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

inline std::string varint(std::uint64_t value) {
  std::string text;
  for (; value >= 0x80; value >>= 7U) text += static_cast<char>(value | 0x80U);
  return text + static_cast<char>(value);
}

/// A field of a message: of bytes, a text or a message.
inline std::string wire_field(std::uint32_t number, const std::string& value) {
  return varint(number << 3U | 2U) + varint(value.size()) + value;
}

/// Repeated numbers: one field of all, or a field each.
template <typename Number>
std::string wire_numbers(std::uint32_t number, const std::vector<Number>& values, bool packed = true) {
  std::string text;
  for (const Number value : values) {
    std::string one;
    if constexpr (std::is_integral_v<Number>) {
      one = varint(static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
    } else {
      one = little_endian(value);
    }
    const std::uint32_t type = std::is_integral_v<Number> ? 0 : sizeof value == 4 ? 5 : 1;
    text += packed ? one : varint(number << 3U | type) + one;
  }
  return packed ? wire_field(number, text) : text;
}

/// An entry of a map.
inline std::string wire_entry(std::uint32_t map, const std::string& key, const std::string& value) {
  return wire_field(map, wire_field(1, key) + wire_field(2, value));
}

// Features of a tf.train.Example.
inline std::string feature(const std::string& name, const std::vector<float>& values, bool packed = true) {
  return wire_entry(1, name, wire_field(2, wire_numbers(1, values, packed)));
}
inline std::string feature(const std::string& name, const std::vector<std::int64_t>& values, bool packed = true) {
  return wire_entry(1, name, wire_field(3, wire_numbers(1, values, packed)));
}
inline std::string feature(const std::string& name, const std::vector<std::string>& values) {
  std::string list;
  for (const std::string& value : values) list += wire_field(1, value);
  return wire_entry(1, name, wire_field(1, list));
}

inline std::string example(const std::string& features) { return wire_field(1, features); }

inline std::uint32_t masked_crc(const std::string& bytes) {
  const std::uint32_t crc = crc32c(std::as_bytes(std::span(bytes)));
  return ((crc >> 15U) | (crc << 17U)) + 0xa282ead8U;
}

inline std::string tf_record(const std::string& data) {
  const std::string length = little_endian(std::uint64_t{data.size()});
  return length + little_endian(masked_crc(length)) + data + little_endian(masked_crc(data));
}

/// A part of a RecordIO record: 0 is all of it.
inline std::string recordio(const std::string& data, std::uint32_t part = 0) {
  return little_endian(0xced7230aU) + little_endian(part << 29U | static_cast<std::uint32_t>(data.size())) + data +
         std::string((4 - data.size() % 4) % 4, '\0');
}

}  // namespace lockstep
