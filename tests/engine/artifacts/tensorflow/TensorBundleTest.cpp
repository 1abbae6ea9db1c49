#include "engine/artifacts/tensorflow/TensorBundle.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "common/Error.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

template <typename T>
TensorView view(ElementType type, const std::vector<T>& values, std::vector<std::int64_t> sizes,
                std::vector<std::int64_t> strides) {
  return {type, std::move(sizes), std::move(strides), reinterpret_cast<const std::byte*>(values.data())};
}

template <typename T>
std::vector<T> values(const BundleTensor& tensor) {
  std::vector<T> result(tensor.bytes.size() / sizeof(T));
  std::memcpy(result.data(), tensor.bytes.data(), tensor.bytes.size());
  return result;
}

const std::vector<float> kMatrix = {0, 1, 2, 3, 4, 5};
const std::vector<std::int64_t> kCount = {-7};
const std::string kText(1000, 'x');

fs::path written(const TemporaryDirectory& directory) {
  const fs::path prefix = directory / "variables";
  TensorBundleWriter writer(prefix);
  writer.add("b/matrix", view(ElementType::kFloat, kMatrix, {2, 3}, {3, 1}));
  writer.add("b/transposed", view(ElementType::kFloat, kMatrix, {2, 3}, {3, 1}).permuted({1, 0}));
  writer.add("a/count", view(ElementType::kInt64, kCount, {}, {}));
  writer.add("a/empty", view(ElementType::kHalf, std::vector<std::uint16_t>{}, {0, 4}, {4, 1}));
  writer.add("text", kText);
  writer.finish();
  return prefix;
}

TEST(TensorBundle, RoundTrip) {
  const TemporaryDirectory directory;
  const TensorBundleReader reader(written(directory));
  EXPECT_EQ(reader.keys(), (std::vector<std::string>{"a/count", "a/empty", "b/matrix", "b/transposed", "text"}));
  EXPECT_EQ(values<float>(reader.tensor("b/matrix")), kMatrix);
  EXPECT_EQ(reader.tensor("b/transposed").sizes, (std::vector<std::int64_t>{3, 2}));
  EXPECT_EQ(values<float>(reader.tensor("b/transposed")), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(values<std::int64_t>(reader.tensor("a/count")), kCount);
  EXPECT_EQ(reader.tensor("a/empty").type, ElementType::kHalf);
  EXPECT_EQ(reader.tensor("a/empty").bytes, "");
  EXPECT_EQ(reader.text("text"), kText);
  EXPECT_ERROR(reader.tensor("none"), InputError, "\"none\"");
  EXPECT_ERROR(reader.text("b/matrix"), InputError, "is not one text");
}

TEST(TensorBundle, GathersMoreThanOnePieceOfAStridedTensor) {
  const TemporaryDirectory directory;
  constexpr std::int64_t rows = 700;
  std::vector<double> data(rows * rows);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<double>(i);
  TensorBundleWriter writer(directory / "v");
  writer.add("t", view(ElementType::kDouble, data, {rows, rows}, {1, rows}));
  writer.finish();
  const auto read = values<double>(TensorBundleReader(directory / "v").tensor("t"));
  ASSERT_EQ(read.size(), data.size());
  for (std::size_t i = 0; i < read.size(); ++i) ASSERT_EQ(read[i], data[i % rows * rows + i / rows]);
}

TEST(TensorBundle, ManyEntriesFillSeveralBlocks) {
  const TemporaryDirectory directory;
  TensorBundleWriter writer(directory / "v");
  for (int i = 0; i < 20000; ++i) writer.add("tensor/" + std::to_string(i), view(ElementType::kInt64, kCount, {}, {}));
  writer.finish();
  EXPECT_GT(fs::file_size((directory / "v").string() + ".index"), 256u << 10);
  const TensorBundleReader reader(directory / "v");
  EXPECT_EQ(reader.keys().size(), 20000);
  EXPECT_EQ(values<std::int64_t>(reader.tensor("tensor/12345")), kCount);
}

void read_all(const fs::path& prefix) {
  const TensorBundleReader reader(prefix);
  EXPECT_EQ(values<float>(reader.tensor("b/matrix")), kMatrix);
  EXPECT_EQ(values<float>(reader.tensor("b/transposed")).size(), 6);
  EXPECT_EQ(values<std::int64_t>(reader.tensor("a/count")), kCount);
  EXPECT_EQ(reader.tensor("a/empty").bytes, "");
  EXPECT_EQ(reader.text("text"), kText);
}

TEST(TensorBundle, NoticesEveryFlippedByte) {
  for (const char* file : {"variables.data-00000-of-00001", "variables.index"}) {
    const TemporaryDirectory directory;
    const fs::path prefix = written(directory);
    const std::string good = read_file(directory / file, 1 << 20);
    int missed = 0;
    for (std::size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 0x10);
      std::ofstream(directory / file, std::ios::binary) << bad;
      try {
        read_all(prefix);
        ++missed;
      } catch (const InputError&) {
      }
    }
    EXPECT_EQ(missed, 0) << file;
  }
}

TEST(TensorBundle, NoticesEveryTruncation) {
  for (const char* file : {"variables.data-00000-of-00001", "variables.index"}) {
    const TemporaryDirectory directory;
    const fs::path prefix = written(directory);
    for (std::uintmax_t size = fs::file_size(directory / file); size-- > 0;) {
      fs::resize_file(directory / file, size);
      EXPECT_THROW(read_all(prefix), InputError) << file << " of " << size << " bytes";
    }
    fs::remove(directory / file);
    EXPECT_ERROR(TensorBundleReader{prefix}, InputError, file);
  }
}

}  // namespace
}  // namespace lockstep
