#include "engine/data/fields/ColumnStatistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/SliceReads.h"
#include "engine/data/Transform.h"

namespace lockstep {

namespace {

std::int64_t count_parts(const Field& field) {
  const bool parted = (field.sizes.size() == 1 && field.reading.pad.length == 0) || field.sizes.size() == 3;
  return parted ? std::max<std::int64_t>(field.sizes[0], 1) : 1;
}

template <typename Number>
void append(std::string& bytes, const Number& number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

template <typename Number>
Number take(std::string_view& bytes) {
  Number number;
  if (bytes.size() < sizeof number) throw InternalError("statistics of another rank end too early");
  std::memcpy(&number, bytes.data(), sizeof number);
  bytes.remove_prefix(sizeof number);
  return number;
}

}  // namespace

ColumnStatistics::ColumnStatistics(const Field& field, const StatisticsRequest& request)
    : field_(field), request_(request) {
  const std::int64_t parts = count_parts(field);
  if (request.moments && parts > kMostParts) {
    throw InputError("column " + field.name + " has " + std::to_string(parts) +
                     " numbers, each with a mean of its own; "
                     "at most " +
                     std::to_string(kMostParts) +
                     R"( are computed: give them, as in "normalize": {"mean": )"
                     R"(0.5, "std": 0.2})");
  }
  if (request.values && is_real(field.type)) {
    throw InputError("column " + field.name +
                     " holds real numbers, which are no labels; \"type\": \"integer\" makes "
                     "integers of them where the labels are given");
  }
  part_numbers_ = field.numbers() / parts;
  parts_.resize(static_cast<std::size_t>(parts));
  if (request.moments) moments_.resize(parts_.size());
}

void ColumnStatistics::look_at(const std::byte* stored, std::int64_t samples) {
  const std::int64_t count = samples * field_.numbers();
  if (request_.values) {
    std::vector<std::int64_t> values(static_cast<std::size_t>(count));
    Transform(field_.type, ElementType::kInt64, false).run(stored, count, reinterpret_cast<std::byte*>(values.data()));
    for (const std::int64_t value : values) add_value(value, 1);
  }
  if (field_.type == ElementType::kUint8) return look_at_bytes(reinterpret_cast<const std::uint8_t*>(stored), samples);
  std::vector<double> numbers(static_cast<std::size_t>(count));
  Transform(field_.type, ElementType::kDouble, false).run(stored, count, reinterpret_cast<std::byte*>(numbers.data()));
  look_at_reals(numbers.data(), samples);
}

void ColumnStatistics::add_value(std::int64_t value, std::int64_t count) {
  values_[value] += count;
  if (values_.size() > kMostValues) {
    throw InputError("column " + field_.name + " has more than " + std::to_string(kMostValues) +
                     " different integers: they are no labels");
  }
}

void ColumnStatistics::look_at_bytes(const std::uint8_t* stored, std::int64_t samples) {
  constexpr std::size_t kBytes = 256;  // that there can be
  const auto add = [&](std::size_t part, std::size_t byte, std::int64_t count) {
    parts_[part].least = std::min(parts_[part].least, static_cast<double>(byte));
    parts_[part].most = std::max(parts_[part].most, static_cast<double>(byte));
    if (request_.moments) moments_[part].add(static_cast<double>(byte), count);
  };
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      if (std::cmp_less(part_numbers_, kBytes)) {
        for (std::int64_t i = 0; i < part_numbers_; ++i) add(part, *stored++, 1);
        continue;
      }
      std::array<std::int64_t, kBytes> counts{};
      for (std::int64_t i = 0; i < part_numbers_; ++i) ++counts[*stored++];
      for (std::size_t byte = 0; byte < counts.size(); ++byte) {
        if (counts[byte] > 0) add(part, byte, counts[byte]);
      }
    }
  }
}

void ColumnStatistics::look_at_reals(const double* numbers, std::int64_t samples) {
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    for (std::size_t index = 0; index < parts_.size(); ++index) {
      Part& part = parts_[index];
      for (std::int64_t i = 0; i < part_numbers_; ++i) {
        const double number = *numbers++;
        if (request_.may_lack && std::isnan(number)) {
          ++part.missing;
          continue;
        }
        if (request_.may_be_infinite && std::isinf(number)) {
          ++part.infinite;
          continue;
        }
        if (!std::isfinite(number)) throw BadNumber{sample, number};
        part.least = std::min(part.least, number);
        part.most = std::max(part.most, number);
        if (request_.moments) moments_[index].add(number);
      }
    }
  }
}

void ColumnStatistics::merge(const ColumnStatistics& other) {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    parts_[i].least = std::min(parts_[i].least, other.parts_[i].least);
    parts_[i].most = std::max(parts_[i].most, other.parts_[i].most);
    parts_[i].missing += other.parts_[i].missing;
    parts_[i].infinite += other.parts_[i].infinite;
    if (request_.moments) moments_[i].merge(other.moments_[i]);
  }
  merge_values(other);
}

void ColumnStatistics::merge_values(const ColumnStatistics& other) {
  for (const auto& [value, count] : other.values_) add_value(value, count);
}

std::string ColumnStatistics::bytes() const {
  std::string bytes;
  for (const Part& part : parts_) {
    append(bytes, part.least);
    append(bytes, part.most);
    append(bytes, part.missing);
    append(bytes, part.infinite);
  }
  for (const ExactMoments& moments : moments_) bytes += moments.bytes();
  append(bytes, static_cast<std::int64_t>(values_.size()));
  for (const auto& [value, count] : values_) {
    append(bytes, value);
    append(bytes, count);
  }
  return bytes;
}

void ColumnStatistics::merge_bytes(std::string_view bytes) {
  ColumnStatistics other(field_, request_);
  for (Part& part : other.parts_) {
    part.least = take<double>(bytes);
    part.most = take<double>(bytes);
    part.missing = take<std::int64_t>(bytes);
    part.infinite = take<std::int64_t>(bytes);
  }
  for (ExactMoments& moments : other.moments_) {
    moments = ExactMoments::from_bytes(bytes.substr(0, ExactMoments::kBytes));
    bytes.remove_prefix(ExactMoments::kBytes);
  }
  for (auto left = take<std::int64_t>(bytes); left > 0; --left) {
    const auto value = take<std::int64_t>(bytes);
    other.values_[value] = take<std::int64_t>(bytes);
  }
  merge(other);
}

namespace {

std::vector<ColumnStatistics> none_yet(const Dataset& dataset, const std::vector<StatisticsRequest>& requests) {
  std::vector<ColumnStatistics> statistics;
  for (const StatisticsRequest& request : requests) {
    statistics.emplace_back(dataset.spec().fields.at(request.field), request);
  }
  return statistics;
}

std::vector<ColumnStatistics> statistics_of(const Dataset& dataset, const std::vector<StatisticsRequest>& requests,
                                            const Slice& slice) {
  std::vector<ColumnStatistics> statistics = none_yet(dataset, requests);
  std::vector<std::size_t> fields;
  for (const StatisticsRequest& request : requests) fields.push_back(request.field);
  read_slice(dataset, fields, slice, [&](std::int64_t first, std::int64_t count, std::span<std::byte* const> places) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      try {
        statistics[i].look_at(places[fields[i]], count);
      } catch (const ColumnStatistics::BadNumber& bad) {
        throw InputError(dataset.place(fields[i], first + bad.sample) + ": column " +
                         dataset.spec().fields[fields[i]].name + " holds " + format("%g", bad.value) +
                         ", which is no finite number; mend it" +
                         (std::isnan(bad.value) ? ", or fill it by \"fill\"" : ", or leave the sample out"));
      }
    }
  });
  return statistics;
}

}  // namespace

std::vector<ColumnStatistics> compute_statistics(const Dataset& dataset, const std::vector<StatisticsRequest>& requests,
                                                 const Slice& slice, std::int64_t threads) {
  std::vector<ColumnStatistics> all = none_yet(dataset, requests);
  const auto parts =
      by_threads(slice, threads, [&](const Slice& part) { return statistics_of(dataset, requests, part); });
  for (const std::vector<ColumnStatistics>& some : parts) {
    for (std::size_t i = 0; i < all.size(); ++i) all[i].merge(some[i]);
  }
  return all;
}

}  // namespace lockstep
