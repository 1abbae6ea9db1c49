#include "engine/data/SampledDigest.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lockstep {

namespace {

constexpr std::uint64_t kWhole = 1 << 20;
constexpr std::uint64_t kBlocks = 64;
constexpr std::uint64_t kBlock = 4096;

template <typename File>
void update_sampled_of(Digest& digest, const File& file) {
  const std::uint64_t size = file.size();
  digest.update(std::as_bytes(std::span(&size, 1)));
  std::vector<std::byte> bytes(size <= kWhole ? size : kBlock);
  if (size <= kWhole) {
    file.read_at(0, bytes);
    digest.update(bytes);
    return;
  }
  const std::uint64_t last = size - kBlock;
  for (std::uint64_t i = 0; i < kBlocks; ++i) {
    // In whole steps and what is left of them: the product of two sizes could be too large.
    file.read_at(i + 1 < kBlocks ? last / (kBlocks - 1) * i : last, bytes);
    digest.update(bytes);
  }
}

}  // namespace

void update_layout(Digest& digest, const std::vector<Field>& fields) {
  for (const Field& field : fields) {
    digest.update(field.name);
    digest.update(to_string(field.type));
    digest.update(std::as_bytes(std::span(field.sizes)));
    for (const std::string& category : field.categories) digest.update(category);
  }
}

void update_sampled(Digest& digest, const RandomAccessFile& file) { update_sampled_of(digest, file); }
void update_sampled(Digest& digest, const PlainFile& file) { update_sampled_of(digest, file); }

}  // namespace lockstep
