// Zip files as a test wants them, also such as no honest program writes.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep {

struct ZipEntry {
  std::string name;
  std::string content;
  bool deflated = false;
};

inline std::string deflated(const std::string& content) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("deflateInit2 failed");
  }
  std::string packed(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("deflate failed");
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

/// The bytes of a zip file of these entries, each below 4 GiB.
inline std::string zip_file(const std::vector<ZipEntry>& entries) {
  std::string file;
  std::string directory;
  const auto put = [](std::string& text, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xFF);
  };
  for (const ZipEntry& entry : entries) {
    const std::string data = entry.deflated ? deflated(entry.content) : entry.content;
    const std::size_t place = file.size();
    const auto common = [&](std::string& text) {
      put(text, 20, 2);  // version needed
      put(text, 0, 2);
      put(text, entry.deflated ? 8 : 0, 2);
      put(text, 0, 4);  // time and date
      put(text, crc32(0, reinterpret_cast<const Bytef*>(entry.content.data()), static_cast<uInt>(entry.content.size())),
          4);
      put(text, data.size(), 4);
      put(text, entry.content.size(), 4);
      put(text, entry.name.size(), 2);
      put(text, 0, 2);  // extra
    };
    put(file, 0x04034b50, 4);
    common(file);
    file += entry.name + data;
    put(directory, 0x02014b50, 4);
    put(directory, 20, 2);
    common(directory);
    put(directory, 0, 2);  // comment
    put(directory, 0, 8);  // disk, attributes
    put(directory, place, 4);
    directory += entry.name;
  }
  const std::size_t at = file.size();
  file += directory;
  put(file, 0x06054b50, 4);
  put(file, 0, 4);
  put(file, entries.size(), 2);
  put(file, entries.size(), 2);
  put(file, directory.size(), 4);
  put(file, at, 4);
  put(file, 0, 2);
  return file;
}

}  // namespace lockstep
