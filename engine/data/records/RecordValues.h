// The numbers of a value of a record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/Field.h"
#include "engine/data/records/RecordForm.h"

namespace lockstep {

/// A tensor that says where its numbers are is not made larger than this.
inline constexpr std::int64_t kMostSparseNumbers = std::int64_t{1} << 24;

/// {n} for n numbers or a text of n bytes, or what a tensor says; {} for one number; {0} for none, and for several
/// texts. Throws InputError, naming the value, for a tensor whose sizes do not fit its numbers.
std::vector<std::int64_t> sizes_of(const RecordValue& value);

/// The bytes of a value of bytes; nothing unless there is one text of them.
std::string_view bytes_of(const RecordValue& value);

/// A value that is read as a text: its one text of bytes, or its one integer in digits. Throws InputError, naming the
/// value, for real numbers, and for none or several.
std::string text_of(const RecordValue& value);

/// Writes a list of numbers as `field`, which is padded, has it: to `out` and to its mask, either of which may be null.
/// Throws InputError, naming the value, for another type, and for a list that is too long.
void write_list(const Field& field, const RecordValue& value, std::byte* out, std::byte* mask);

/// Writes a value as `field` has it. Throws InputError, naming the value, when it is of another type or size.
void write_value(const Field& field, const RecordValue& value, std::byte* out);

}  // namespace lockstep
