// The framing of TFRecord files.
//
// Source: tensorflow/core/lib/io/record_writer.h (TensorFlow 2.21) and "TFRecord and tf.train.Example" of TensorFlow's
// guide. A record is, little-endian: a length of 8 bytes; the masked CRC-32C of those 8 bytes; the data; its masked
// CRC-32C. A CRC is masked as ((crc >> 15) | (crc << 17)) + 0xa282ead8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace lockstep {

inline constexpr std::size_t kTfRecordHeader = 12;  ///< bytes before the data
inline constexpr std::size_t kTfRecordTrailer = 4;  ///< behind it

/// The length of the data that follows a header; nothing when these bytes are too few, or their checksum does not fit.
std::optional<std::uint64_t> tf_record_length(std::span<const std::byte> header);

/// The data of a record. Throws InputError when a checksum does not fit.
std::string_view tf_record_data(std::string_view record);

}  // namespace lockstep
