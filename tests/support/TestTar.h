// Tar files as a test wants them, also such as no honest program writes.
#pragma once

#include <cstdio>
#include <string>

namespace lockstep {

/// A header of the ustar format. `length`: 12 bytes of it as they are, or "": in digits.
inline std::string tar_header(const std::string& name, std::size_t length, char type = '0', const std::string& raw = "",
                              const std::string& prefix = "") {
  std::string block(512, '\0');
  block.replace(0, name.size(), name);
  block.replace(100, 7, "0000644");
  char digits[13];
  std::snprintf(digits, sizeof digits, "%011zo", length);
  block.replace(124, raw.empty() ? 11 : 12, raw.empty() ? digits : raw);
  block[156] = type;
  block.replace(257, 8, std::string("ustar\0", 6) + "00");
  block.replace(345, prefix.size(), prefix);
  unsigned sum = 8 * ' ';
  for (const char byte : block) sum += static_cast<unsigned char>(byte);
  std::snprintf(digits, sizeof digits, "%06o", sum);
  return block.replace(148, 8, std::string(digits) + '\0' + ' ');
}

inline std::string tar_padded(std::string content) {
  content.resize((content.size() + 511) / 512 * 512);
  return content;
}

inline std::string tar_member(const std::string& name, const std::string& content, char type = '0') {
  return tar_header(name, content.size(), type) + tar_padded(content);
}

inline std::string tar_end() { return std::string(1024, '\0'); }

}  // namespace lockstep
