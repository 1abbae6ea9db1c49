// Files of arrays as a test wants them, also such as no honest program writes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

template <typename Number>
std::string bytes_of(const std::vector<Number>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Number)};
}

/// The bytes of an .npy file of version 1 with this header.
inline std::string npy_of_header(const std::string& header, const std::string& elements) {
  std::string file = "\x93NUMPY\x01";
  file += '\0';
  file += static_cast<char>(header.size() & 255U);
  file += static_cast<char>(header.size() >> 8U);
  return file + header + elements;
}

/// As NumPy writes it.
inline std::string npy(const std::string& descr, const std::string& shape, const std::string& elements,
                       const std::string& fortran_order = "False") {
  std::string header = "{'descr': '" + descr + "', 'fortran_order': " + fortran_order + ", 'shape': " + shape + ", }";
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  return npy_of_header(header + '\n', elements);
}

inline std::string safetensors(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

}  // namespace lockstep
