// Lists that become equally long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/data/Field.h"

namespace lockstep {

/// Throws InputError, naming the column, for a padded field whose type does not hold Padding::value.
void check_padding(const Field& padded);

/// The mask of a padded field: which of its numbers were there.
Field mask_of(const Field& padded);

/// Throws InputError, naming the column, for a list of more numbers than the field has, unless they are to be cut.
void check_length(const Field& padded, std::int64_t count);

/// Writes `count` numbers of the field's type to `out`, and its Padding::value behind them; what was there to `mask`.
/// Either may be null. Throws as check_length and check_padding do.
void write_padded(const Field& padded, const std::byte* numbers, std::int64_t count, std::byte* out, std::byte* mask);

/// How many of the fields, which are the last ones, are masks of others.
std::size_t count_masks(const std::vector<Field>& fields);

}  // namespace lockstep
