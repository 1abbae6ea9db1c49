// Images as MXNet's im2rec packs them into records.
//
// Source: apache/mxnet, python/mxnet/recordio.py (IRHeader, pack, unpack): a count of labels (32 bits), one label
// (float32), two numbers of 64 bits; the labels that are counted (float32), which then stand for the one; the image.
#pragma once

#include <cstdint>
#include <string_view>

namespace lockstep {

/// Whether the data of a record, or of its beginning, are one.
bool begins_mxnet_image(std::string_view data);

/// As many bytes as `mxnet_label` looks at.
inline constexpr std::size_t kMxnetLabelBytes = 28;

/// The label of the data of a record, of which the first kMxnetLabelBytes are enough. Throws InputError unless it is
/// one integer ≥ 0.
std::int32_t mxnet_label(std::string_view data);

/// The encoded image. Throws InputError when there is none.
std::string_view mxnet_image(std::string_view data);

}  // namespace lockstep
