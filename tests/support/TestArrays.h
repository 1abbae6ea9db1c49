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

/// A file of tokens as llm.c has it.
template <typename Token>
std::string llmc_file(std::int32_t magic, std::int32_t version, const std::vector<Token>& tokens) {
  std::vector<std::int32_t> header(256);
  header[0] = magic;
  header[1] = version;
  header[2] = static_cast<std::int32_t>(tokens.size());
  return bytes_of(header) + bytes_of(tokens);
}

/// The index that Megatron-LM writes for sequences of these lengths, each a document, in tokens of `width` bytes.
inline std::string megatron_index(std::uint8_t type, std::int64_t width, const std::vector<std::int32_t>& lengths) {
  const auto count = static_cast<std::int64_t>(lengths.size());
  std::vector<std::int64_t> offsets;
  std::vector<std::int64_t> documents = {0};
  std::int64_t end = 0;
  for (const std::int32_t length : lengths) {
    offsets.push_back(end);
    end += length * width;
    documents.push_back(documents.back() + 1);
  }
  return std::string("MMIDIDX\0\0", 9) + bytes_of(std::vector<std::int64_t>{1}) + static_cast<char>(type) +
         bytes_of(std::vector<std::int64_t>{count, count + 1}) + bytes_of(lengths) + bytes_of(offsets) +
         bytes_of(documents);
}

}  // namespace lockstep
