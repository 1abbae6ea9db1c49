#include <gtest/gtest.h>

#include <cmath>

#include "kernels/flat_copy/FlatCopy.h"
#include "tests/kernels/FlatForms.h"

namespace lockstep::kernels {
namespace {

template <typename From, typename To>
struct Pair {
  using FromType = From;
  using ToType = To;
};

template <typename Element>
std::vector<std::uint8_t> bytes_of(const std::vector<Element>& values) {
  const auto* begin = reinterpret_cast<const std::uint8_t*>(values.data());
  return {begin, begin + values.size() * sizeof(Element)};
}

/// What each element must be to the bit.
template <typename From, typename To>
To cast(From value, double scale) {
  using Wide = Product<From, To>;
  return from_arithmetic<To>(
      static_cast<Arithmetic<To>>(static_cast<Wide>(to_arithmetic(value)) * static_cast<Wide>(scale)));
}

template <typename Types>
class FlatCopy : public testing::Test {};
using Pairs = testing::Types<Pair<float, float>, Pair<float, BFloat16>, Pair<float, Half>, Pair<BFloat16, float>,
                             Pair<BFloat16, BFloat16>, Pair<BFloat16, Half>, Pair<Half, float>, Pair<Half, BFloat16>,
                             Pair<Half, Half>, Pair<double, double>, Pair<double, float>, Pair<float, double>>;
TYPED_TEST_SUITE(FlatCopy, Pairs);

TYPED_TEST(FlatCopy, PacksAndUnpacks) {
  using From = typename TypeParam::FromType;
  using To = typename TypeParam::ToType;
  for_each_flat_case([](const Form& form, const FlatCase& flat, const FlatPlacement& placement) {
    const std::vector<Segment> segments = segments_of(flat);
    const auto storage = static_cast<std::size_t>(storage_length(flat));
    const auto values = normal_elements<From>(storage, 1);
    const auto before = normal_elements<To>(storage, 2);
    for (const double scale : {0.3, 1.0}) {
      if (scale == 1 && storage > 5000) break;
      std::vector<Buffer<From>> sources;
      std::vector<Buffer<To>> targets;
      std::vector<FlatTensor<const From>> from_tensors;
      std::vector<FlatTensor<To>> to_tensors;
      std::vector<To> expected = before;
      for (const Segment& segment : segments) {
        const auto first = values.begin() + segment.offset;
        const std::vector<From> tensor(first, first + segment.length);
        for (std::size_t i = 0; i < tensor.size(); ++i) {
          expected[static_cast<std::size_t>(segment.offset) + i] = cast<From, To>(tensor[i], scale);
        }
        sources.emplace_back(form, tensor, placement.others);
        targets.emplace_back(form, tensor.size(), placement.others);
        from_tensors.push_back({sources.back().data(), segment.offset, segment.length});
        to_tensors.push_back({targets.back().data(), segment.offset, segment.length});
      }
      const std::vector<Piece> pieces = pieces_of(segments, piece_length(form));
      const auto piece_count = static_cast<std::int64_t>(pieces.size());
      const Buffer<Piece> piece_buffer(form, pieces, {.at_end = true});
      const Buffer<FlatTensor<const From>> from_table(form, from_tensors, {.at_end = true});
      const Buffer<FlatTensor<To>> to_table(form, to_tensors, {.at_end = true});
      const Buffer<double> scale_buffer(form, std::vector{scale}, {.at_end = true});
      const double* scale_data = scale == 1 ? nullptr : scale_buffer.data();
      const Buffer<To> packed(form, before, placement.first);
      run(
          form, [](auto&&... args) { pack(args...); },
          Pack<From, To>{from_table.data(), piece_buffer.data(), piece_count, packed.data(), scale_data});
      EXPECT_EQ(bytes_of(packed.values()), bytes_of(expected));
      const Buffer<From> flat_values(form, values, placement.first);
      run(
          form, [](auto&&... args) { unpack(args...); },
          Unpack<From, To>{flat_values.data(), to_table.data(), piece_buffer.data(), piece_count, scale_data});
      for (std::size_t i = 0; i < segments.size(); ++i) {
        const auto first = expected.begin() + segments[i].offset;
        EXPECT_EQ(bytes_of(targets[i].values()), bytes_of(std::vector<To>(first, first + segments[i].length)));
      }
    }
  });
}

TYPED_TEST(FlatCopy, KeepsWhatIsNoNumber) {
  using From = typename TypeParam::FromType;
  using To = typename TypeParam::ToType;
  for (const auto& form : forms()) {
    const std::vector<double> values = {INFINITY, -INFINITY, NAN, 0, -0.0, 65504, 1e38, 1e-7};
    const std::vector<From> tensor = from_doubles<From>(values);
    const std::vector<FlatTensor<const From>> host = {{nullptr, 0, 8}};
    const Buffer<From> source(*form, tensor, {});
    const Buffer<FlatTensor<const From>> table(*form, {{source.data(), 0, 8}}, {});
    const Buffer<Piece> pieces(*form, pieces_of(host, kCudaPieceLength), {});
    const Buffer<To> packed(*form, values.size(), {});
    run(
        *form, [](auto&&... args) { pack(args...); },
        Pack<From, To>{table.data(), pieces.data(), 1, packed.data(), nullptr});
    const auto found = to_doubles(packed.values());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double expected = to_arithmetic(cast<From, To>(tensor[i], 1));
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(found[i])) << form->name() << i;
      } else {
        EXPECT_EQ(found[i], expected) << form->name() << i;
        EXPECT_EQ(std::signbit(found[i]), std::signbit(expected)) << form->name() << i;
      }
    }
    EXPECT_TRUE(std::isnan(found[2])) << form->name();
  }
}

}  // namespace
}  // namespace lockstep::kernels
