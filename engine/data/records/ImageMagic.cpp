#include "engine/data/records/ImageMagic.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>

namespace lockstep {

namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMagics[] = {"\xff\xd8\xff"sv, "\x89PNG\r\n\x1a\n"sv, "GIF87a"sv, "GIF89a"sv};

// Two letters are little: the size that follows them has to fit, too.
bool begins_bmp(std::string_view bytes) {
  std::uint32_t size = 0;
  if (!bytes.starts_with("BM") || bytes.size() < 2 + sizeof size) return false;
  std::memcpy(&size, bytes.data() + 2, sizeof size);
  return size == bytes.size();
}

}  // namespace

bool begins_image(std::string_view bytes) {
  return std::ranges::any_of(kMagics, [&](std::string_view magic) { return bytes.starts_with(magic); }) ||
         (bytes.starts_with("RIFF") && bytes.substr(std::min<std::size_t>(bytes.size(), 8)).starts_with("WEBP")) ||
         begins_bmp(bytes);
}

}  // namespace lockstep
