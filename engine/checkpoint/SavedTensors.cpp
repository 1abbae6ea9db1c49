#include "engine/checkpoint/SavedTensors.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "common/Crc32c.h"
#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace {

// Still in the processor's cache when it is looked at.
constexpr std::size_t kPiece = 128 << 10;

std::size_t bytes_of(const SafetensorsFile::Entry& entry) { return entry.end - entry.begin; }

// An exponent of ones is that of infinity and NaN.
template <typename Bits>
bool all_finite(std::span<const std::byte> bytes, Bits exponent) {
  Bits found = 0;  // as wide as the numbers: the loop is vectorised
  for (std::size_t i = 0; i + sizeof(Bits) <= bytes.size(); i += sizeof(Bits)) {
    Bits bits = 0;
    std::memcpy(&bits, bytes.data() + i, sizeof bits);
    found |= (bits & exponent) == exponent ? 1 : 0;
  }
  return found == 0;
}

bool all_finite(std::span<const std::byte> bytes, ElementType type) {
  switch (type) {
    case ElementType::kDouble:
      return all_finite<std::uint64_t>(bytes, 0x7FF0'0000'0000'0000);
    case ElementType::kFloat:
      return all_finite<std::uint32_t>(bytes, 0x7F80'0000);
    case ElementType::kHalf:
      return all_finite<std::uint16_t>(bytes, 0x7C00);
    case ElementType::kBFloat16:
      return all_finite<std::uint16_t>(bytes, 0x7F80);
    default:
      return true;
  }
}

std::string description(ElementType type, std::span<const std::int64_t> sizes) {
  return to_string(type) + " of [" + join(std::vector<std::int64_t>(sizes.begin(), sizes.end()), ", ") + "]";
}

}  // namespace

SavedTensors::SavedTensors(const std::filesystem::path& path) : file_(std::make_shared<SafetensorsFile>(path)) {
  std::vector<std::pair<const Entry*, Content*>> order;
  for (const auto& [name, entry] : file_->entries()) order.emplace_back(&entry, &contents_[name]);
  std::ranges::sort(order, {}, [](const auto& tensor) { return std::pair(tensor.first->begin, tensor.first->end); });
  at::parallel_for(0, static_cast<std::int64_t>(order.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto& [entry, content] = order[static_cast<std::size_t>(i)];
      *content = content_of(*entry);
    }
  });
  crc32c_ = file_->header_crc32c();
  for (const auto& [entry, content] : order) crc32c_ = crc32c_joined(crc32c_, content->crc32c, bytes_of(*entry));
}

SavedTensors::Content SavedTensors::content_of(const Entry& entry) const {
  Content content;
  std::vector<std::byte> memory(std::min(kPiece, bytes_of(entry)));
  for (std::size_t at = 0; at < bytes_of(entry); at += kPiece) {
    const auto piece = std::span(memory).first(std::min(kPiece, bytes_of(entry) - at));
    file_->read_at(entry, at, piece);
    content.crc32c = lockstep::crc32c(piece, content.crc32c);
    content.finite &= all_finite(piece, entry.type);
  }
  return content;
}

const std::map<std::string, SavedTensors::Entry>& SavedTensors::entries() const {
  static const std::map<std::string, Entry> none;
  return file_ ? file_->entries() : none;
}

const std::map<std::string, std::string>& SavedTensors::metadata() const {
  static const std::map<std::string, std::string> none;
  return file_ ? file_->metadata() : none;
}

void SavedTensors::require(const NamedTensors& like, const std::string& owner) const {
  for (const auto& [name, tensor] : like) {
    const auto found = entries().find(name);
    if (found == entries().end()) throw InputError("the checkpoint lacks the tensor " + in_quotes(owner + name));
    const auto type = element_type(tensor);
    const auto& [saved_type, saved_sizes, begin, end] = found->second;
    if (saved_type == type && tensor.sizes().equals(saved_sizes)) continue;
    throw InputError("the checkpoint's tensor " + in_quotes(owner + name) + " is " +
                     description(saved_type, saved_sizes) + "; the job's is " + description(type, tensor.sizes()));
  }
}

void SavedTensors::read_into(const NamedTensors& into) const {
  require(into);
  const c10::NoGradGuard no_grad;
  std::map<const void*, const NamedTensors::value_type*> places;  // a tensor may have several names
  for (const auto& named : into) {
    const at::Tensor& tensor = named.second;
    if (tensor.device().is_cpu() && tensor.is_contiguous()) {
      places.try_emplace(tensor.const_data_ptr(), &named);
    } else {
      tensor.copy_(read(named.first));
    }
  }
  std::vector<const NamedTensors::value_type*> in_place;
  for (const auto& [place, named] : places) in_place.push_back(named);
  at::parallel_for(0, static_cast<std::int64_t>(in_place.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto& [name, tensor] = *in_place[static_cast<std::size_t>(i)];
      read_bytes(name, bytes_of(tensor));
    }
  });
}

at::Tensor SavedTensors::read(const std::string& name) const {
  at::Tensor tensor = tensor_for(*file_, name);
  read_bytes(name, bytes_of(tensor));
  return tensor;
}

void SavedTensors::read_bytes(const std::string& name, std::span<std::byte> bytes) const {
  const Entry& entry = entries().at(name);
  std::uint32_t found = 0;
  for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
    const auto piece = bytes.subspan(at, std::min(kPiece, bytes.size() - at));
    file_->read_at(entry, at, piece);
    found = lockstep::crc32c(piece, found);
  }
  if (found != contents_.at(name).crc32c) {
    throw InputError(file_->name() + " was changed while it was read: its tensor " + in_quotes(name) +
                     " has other bytes than before");
  }
}

}  // namespace lockstep
