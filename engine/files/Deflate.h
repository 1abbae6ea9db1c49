// What is known of data that is compressed by deflate (RFC 1951), whichever file they come in.
#pragma once

#include <cstdint>

namespace lockstep {

/// At most so many times longer is what they hold: zlib's "Technical Details", zlib.net/zlib_tech.html.
inline constexpr std::uint64_t kMostCompression = 1032;

}  // namespace lockstep
