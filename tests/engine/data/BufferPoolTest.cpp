#include "engine/data/BufferPool.h"

#include <gtest/gtest.h>

#include <cstring>

namespace lockstep {
namespace {

TEST(BufferPool, LendsAgainWhatCameBack) {
  BufferPool pool;
  std::shared_ptr<std::byte> first = pool.take(100);
  const std::byte* memory = first.get();
  const std::shared_ptr<std::byte> second = pool.take(100);
  EXPECT_NE(second.get(), memory);
  first.reset();
  EXPECT_EQ(pool.take(50).get(), memory);
  EXPECT_EQ(pool.take(100).get(), memory);
}

TEST(BufferPool, GivesAsMuchAsIsAsked) {
  BufferPool pool;
  pool.take(8).reset();
  const std::shared_ptr<std::byte> large = pool.take(1 << 24);
  std::memset(large.get(), 1, 1 << 24);
  EXPECT_EQ(large.get()[(1 << 24) - 1], std::byte{1});
  EXPECT_NE(pool.take(0), nullptr);
}

TEST(BufferPool, ItsBuffersOutliveIt) {
  std::shared_ptr<std::byte> buffer;
  {
    BufferPool pool;
    buffer = pool.take(64);
  }
  std::memset(buffer.get(), 1, 64);
  EXPECT_EQ(*buffer, std::byte{1});
}

}  // namespace
}  // namespace lockstep
