// Parts that protobuf messages of many schemas have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lockstep {

/// An entry of a map whose keys are texts.
struct MapEntry {
  std::string_view key{};
  std::string_view value{};  ///< a message
};

/// Throws InputError.
MapEntry read_map_entry(std::string_view message);

/// The one field that a message has, which holds a message.
struct OneOf {
  std::uint32_t field = 0;  ///< 0: there is none
  std::string_view value{};
};

/// Throws InputError for a message of several fields.
OneOf read_one_of(std::string_view message);

/// Reads the repeated field `field` of a message: float and double by their bytes, int32, int64 and uint64 as varints,
/// packed or one by one. Writes the first `most` numbers to `out` and returns how many there are. Throws InputError.
template <typename Number>
std::size_t read_numbers(std::string_view message, std::uint32_t field, std::byte* out, std::size_t most);

}  // namespace lockstep
